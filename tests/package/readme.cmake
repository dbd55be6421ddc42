# Fails unless the README shows the embedding example as it is.
file(READ ${README} readme)
file(READ ${EMBEDDING_SOURCE} program)
string(FIND "${readme}" "```cpp\n${program}```" at)
if(at EQUAL -1)
  message(FATAL_ERROR "${README} does not show ${EMBEDDING_SOURCE} as it is; copy it there")
endif()
