# What is installed, and how other projects find it: `pkg-config pali`, or
# find_package(pali) and the target pali::pali.
include(CMakePackageConfigHelpers)

set(package_folder "${CMAKE_INSTALL_LIBDIR}/cmake/pali")

# The links of a static library are its user's: the same libraries again, as
# the user finds them; in the file for pkg-config by module where there is one,
# else as flags.
set(PALI_PC_REQUIRES "")
set(PALI_PC_LIBS "")
set(PALI_DEPENDENCIES "")
get_target_property(library_type pali TYPE)
if(library_type STREQUAL "STATIC_LIBRARY")
  get_property(libraries GLOBAL PROPERTY PALI_ROOM_LIBRARIES)
  list(REMOVE_DUPLICATES libraries)
  foreach(library IN LISTS libraries)
    target_link_libraries(pali INTERFACE $<INSTALL_INTERFACE:${library}>)
    string(REGEX REPLACE "^PkgConfig::" "" module "${library}")
    if(library STREQUAL "Threads::Threads")
      string(APPEND PALI_PC_LIBS " -pthread")
      string(APPEND PALI_DEPENDENCIES "find_dependency(Threads)\n")
    elseif(library STREQUAL "JPEG::JPEG")
      string(APPEND PALI_PC_REQUIRES " libjpeg")
      string(APPEND PALI_DEPENDENCIES "find_dependency(JPEG)\n")
    elseif(library STREQUAL "PNG::PNG")
      string(APPEND PALI_PC_REQUIRES " libpng")
      string(APPEND PALI_DEPENDENCIES "find_dependency(PNG)\n")
    elseif(library STREQUAL "GIF::GIF")
      string(APPEND PALI_PC_LIBS " -lgif")
      string(APPEND PALI_DEPENDENCIES "find_dependency(GIF)\n")
    elseif(library STREQUAL "ZLIB::ZLIB")
      string(APPEND PALI_PC_REQUIRES " zlib")
      string(APPEND PALI_DEPENDENCIES "find_dependency(ZLIB)\n")
    elseif(${module}_MODULE_NAME)
      string(APPEND PALI_PC_REQUIRES " ${${module}_MODULE_NAME}")
      string(APPEND PALI_DEPENDENCIES
        "find_dependency(PkgConfig)\npkg_check_modules(${module} REQUIRED QUIET IMPORTED_TARGET ${${module}_MODULE_NAME})\n")
    elseif(library MATCHES "::")
      message(FATAL_ERROR "cmake/PaliInstall.cmake does not say how a user of the static library finds ${library}")
    else()
      string(APPEND PALI_PC_LIBS " -l${library}")
    endif()
  endforeach()
endif()

set_target_properties(pali PROPERTIES EXPORT_NAME pali)
add_library(pali::pali ALIAS pali)
install(TARGETS pali EXPORT pali-targets
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}"
  INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/pali" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.h")
install(EXPORT pali-targets NAMESPACE pali:: DESTINATION "${package_folder}")
configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/cmake/pali-config.cmake.in" "${PROJECT_BINARY_DIR}/pali-config.cmake"
  INSTALL_DESTINATION "${package_folder}" NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/pali-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/pali-config.cmake" "${PROJECT_BINARY_DIR}/pali-config-version.cmake"
  DESTINATION "${package_folder}")

# From the file's own place to the prefix, so that a moved or staged tree works.
file(RELATIVE_PATH PALI_PC_PREFIX "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" PALI_PC_PREFIX "${PALI_PC_PREFIX}")
configure_file("${PROJECT_SOURCE_DIR}/cmake/pali.pc.in" "${PROJECT_BINARY_DIR}/pali.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/pali.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

if(TARGET pali_command)
  install(TARGETS pali_command RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()
if(IS_DIRECTORY "${PROJECT_SOURCE_DIR}/models/nano")
  install(DIRECTORY "${PROJECT_SOURCE_DIR}/models/nano" DESTINATION "${CMAKE_INSTALL_DATADIR}/pali")
endif()
