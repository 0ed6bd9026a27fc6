# The rooms of the house: each folder of src/ is one object library, so that a
# room's tests and fuzz targets build and link only what the room stands on.

# Warnings and sanitizers that every target of ours is compiled with.
add_library(pali_options INTERFACE)
target_compile_options(pali_options INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes
  -Wmissing-prototypes -Wvla -Wundef)
target_compile_definitions(pali_options INTERFACE _GNU_SOURCE)
if(PALI_WERROR)
  target_compile_options(pali_options INTERFACE -Werror)
endif()
if(PALI_SANITIZE)
  target_compile_options(pali_options INTERFACE -fsanitize=${PALI_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(pali_options INTERFACE -fsanitize=${PALI_SANITIZE})
endif()
if(PALI_FUZZ)
  target_compile_options(pali_options INTERFACE -fsanitize=fuzzer-no-link,address,undefined -fno-omit-frame-pointer)
  target_link_options(pali_options INTERFACE -fsanitize=address,undefined)
endif()

# pali_room(NAME SOURCES a.c ... [USES room ...] [LIBRARIES target ...])
# USES names the rooms it includes; they are linked with whatever links it.
function(pali_room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;USES;LIBRARIES" ${ARGN})
  add_library(objects_${name} OBJECT ${ROOM_SOURCES})
  target_include_directories(objects_${name} PUBLIC
    "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/src")
  target_link_libraries(objects_${name} PUBLIC ${ROOM_LIBRARIES} PRIVATE pali_options)
  # What a test of this room links: its objects and those of the rooms below.
  add_library(room_${name} INTERFACE)
  target_sources(room_${name} INTERFACE $<TARGET_OBJECTS:objects_${name}>)
  target_include_directories(room_${name} INTERFACE
    "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/src")
  target_link_libraries(room_${name} INTERFACE ${ROOM_LIBRARIES} pali_options)
  foreach(used IN LISTS ROOM_USES)
    target_link_libraries(room_${name} INTERFACE room_${used})
  endforeach()
  set_property(GLOBAL APPEND PROPERTY PALI_ROOMS ${name})
  set_property(GLOBAL APPEND PROPERTY PALI_ROOM_LIBRARIES ${ROOM_LIBRARIES})
endfunction()

# pali_test(NAME SOURCES a.c ... ROOMS room ... [LABELS slow] [ARGS ...])
# A cmocka program, run by CTest from the source folder of the project.
function(pali_test name)
  cmake_parse_arguments(TEST "" "" "SOURCES;ROOMS;LABELS;LIBRARIES" ${ARGN})
  add_executable(test_${name} ${TEST_SOURCES})
  foreach(room IN LISTS TEST_ROOMS)
    target_link_libraries(test_${name} PRIVATE room_${room})
  endforeach()
  target_include_directories(test_${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
  target_link_libraries(test_${name} PRIVATE ${TEST_LIBRARIES} PkgConfig::CMOCKA pali_options m)
  add_test(NAME ${name} COMMAND test_${name} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77)
  if(PALI_SANITIZE) # a block that is too large is to fail, as it does without
    set_tests_properties(${name} PROPERTIES ENVIRONMENT
      "ASAN_OPTIONS=allocator_may_return_null=1;TSAN_OPTIONS=allocator_may_return_null=1;UBSAN_OPTIONS=print_stacktrace=1")
  endif()
  if(TEST_LABELS)
    set_tests_properties(${name} PROPERTIES LABELS "${TEST_LABELS}")
  endif()
endfunction()

# pali_exhaust_test(NAME SOURCES a.c ... ROOMS room ...): a test in which every
# allocation fails once (tests/exhaust.h); needs a linker that can wrap symbols.
function(pali_exhaust_test name)
  if(APPLE)
    return()
  endif()
  cmake_parse_arguments(TEST "" "" "SOURCES;ROOMS" ${ARGN})
  pali_test(${name} SOURCES ${TEST_SOURCES} "${PROJECT_SOURCE_DIR}/tests/exhaust.c" ROOMS ${TEST_ROOMS} LIBRARIES PkgConfig::JANSSON)
  target_link_options(test_${name} PRIVATE
    LINKER:--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=free)
endfunction()

# pali_fuzz(NAME SOURCE file.c ROOMS room ...): a libFuzzer target.
function(pali_fuzz name)
  cmake_parse_arguments(FUZZ "" "SOURCE" "ROOMS" ${ARGN})
  add_executable(fuzz_${name} ${FUZZ_SOURCE})
  foreach(room IN LISTS FUZZ_ROOMS)
    target_link_libraries(fuzz_${name} PRIVATE room_${room})
  endforeach()
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer,address,undefined)
  target_link_libraries(fuzz_${name} PRIVATE pali_options m)
  if(NOT TARGET fuzzers)
    add_custom_target(fuzzers)
  endif()
  add_dependencies(fuzzers fuzz_${name})
endfunction()
