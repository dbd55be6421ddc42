# Warnings, sanitizers and the choice of the CUDA backend, for all of Pinrail's own targets.

add_library(pinrail_options INTERFACE)
target_compile_options(pinrail_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion)

if(PINRAIL_SANITIZE)
  target_compile_options(pinrail_options INTERFACE -fsanitize=${PINRAIL_SANITIZE} -fno-omit-frame-pointer -g)
  target_link_options(pinrail_options INTERFACE -fsanitize=${PINRAIL_SANITIZE})
  if(PINRAIL_SANITIZE MATCHES "undefined")
    target_compile_options(pinrail_options INTERFACE -fno-sanitize-recover=all)
  endif()
endif()

set(PINRAIL_HAVE_CUDA OFF)
if(NOT PINRAIL_CUDA STREQUAL "OFF")
  find_package(CUDAToolkit 12.8 QUIET)
  if(CUDAToolkit_FOUND)
    set(PINRAIL_HAVE_CUDA ON)
  elseif(PINRAIL_CUDA STREQUAL "ON")
    message(FATAL_ERROR "PINRAIL_CUDA=ON, but CMake found no CUDA Toolkit; set CUDAToolkit_ROOT or use AUTO")
  endif()
endif()
message(STATUS "Pinrail: CUDA backend ${PINRAIL_HAVE_CUDA}, sanitizers '${PINRAIL_SANITIZE}'")
