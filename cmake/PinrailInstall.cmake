# The installed package: headers, library, CMake package `pinrail` with target pinrail::pinrail, pkg-config `pinrail`, what
# ThreadSanitizer must be told in programs that use it.

include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

get_target_property(pinrail_type pinrail TYPE)
string(COMPARE EQUAL "${pinrail_type}" STATIC_LIBRARY PINRAIL_IS_STATIC)

install(TARGETS pinrail EXPORT pinrail-targets)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/pinrail DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${CMAKE_CURRENT_LIST_DIR}/tsan.supp DESTINATION ${CMAKE_INSTALL_DATADIR}/pinrail)

set(pinrail_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/pinrail)
install(EXPORT pinrail-targets NAMESPACE pinrail:: DESTINATION ${pinrail_package_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/pinrail-config.cmake.in pinrail-config.cmake
                              INSTALL_DESTINATION ${pinrail_package_dir})
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(pinrail-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/pinrail-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/pinrail-config-version.cmake
        DESTINATION ${pinrail_package_dir})

# Who links a static library must link what it uses, too.
set(PINRAIL_PC_LIBS "")
if(PINRAIL_HAVE_CUDA)
  set(PINRAIL_PC_LIBS "-L${CUDAToolkit_LIBRARY_DIR} -lcudart_static -lrt -ldl")
endif()
set(PINRAIL_PC_PRIVATE "")
if(NOT PINRAIL_IS_STATIC)
  set(PINRAIL_PC_PRIVATE ".private")
endif()
configure_file(${CMAKE_CURRENT_LIST_DIR}/pinrail.pc.in pinrail.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/pinrail.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
