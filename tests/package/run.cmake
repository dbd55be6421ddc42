# Installs the built library to a scratch prefix, then configures, builds and runs the consumer against it: by the CMake
# package and by pkg-config. Called by ctest with -D for each variable used here.
set(prefix ${SCRATCH}/prefix)
file(REMOVE_RECURSE ${SCRATCH})

function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ECHO STDOUT COMMAND_ERROR_IS_FATAL ANY)
endfunction()

run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})
# pkg-config files name the prefix that was configured.
file(GLOB_RECURSE pc ${prefix}/*/pinrail.pc)
file(READ ${pc} text)
string(REGEX REPLACE "prefix=[^\n]*\nlibdir" "prefix=${prefix}\nlibdir" text "${text}")
file(WRITE ${pc} "${text}")
cmake_path(GET pc PARENT_PATH pc_dir)
set(ENV{PKG_CONFIG_PATH} ${pc_dir})
# As a user's program would be told, if sanitized; the caller's own options stay.
set(ENV{TSAN_OPTIONS} "$ENV{TSAN_OPTIONS} suppressions=${prefix}/share/pinrail/tsan.supp")

foreach(by_pkg_config OFF ON)
  set(build ${SCRATCH}/build-${by_pkg_config})
  run(${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/consumer -B ${build} -G Ninja -DCMAKE_PREFIX_PATH=${prefix}
      -DCMAKE_CXX_COMPILER=${CXX} -DCMAKE_CXX_FLAGS=${FLAGS} -DCMAKE_BUILD_TYPE=Release -DBY_PKG_CONFIG=${by_pkg_config}
      -DPINRAIL_VERSION=${VERSION} -DEMBEDDING_SOURCE=${EMBEDDING_SOURCE})
  run(${CMAKE_COMMAND} --build ${build})
  run(${build}/consumer)
endforeach()
