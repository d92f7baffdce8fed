# What a plugin's CMakeLists.txt gets by find_package(sandbar) or add_subdirectory:
#
#   sandbar_plugin(NAME source…)  NAME.core.wasm, by clang for WebAssembly, whatever compiler the project has; and the
#                                 component NAME.wasm, if there is the program `sandbar`
#   sandbar_test(NAME source…)    a program of the project's compiler with the host in memory, run by ctest
cmake_minimum_required(VERSION 3.20)
include_guard(GLOBAL)

set(SANDBAR_SDK ${CMAKE_CURRENT_LIST_DIR} CACHE INTERNAL "Folder of the SDK")
file(GLOB SANDBAR_SOURCES CONFIGURE_DEPENDS ${SANDBAR_SDK}/src/*.c)
set(SANDBAR_SOURCES ${SANDBAR_SOURCES} CACHE INTERNAL "Sources of the SDK")
find_program(SANDBAR_CLANG NAMES clang-19 clang DOC "clang with WebAssembly, wasm-ld and wasi-libc")
find_program(SANDBAR_PROGRAM NAMES sandbar DOC "Makes components out of core modules; OFF: that is left to others")

# The modules say in which line of which source a trap is, unless CMAKE_BUILD_TYPE is Release; in Debug a debugger sees
# their variables.
function(sandbar_plugin NAME)
  set(target ${SANDBAR_CLANG} --target=wasm32-wasi)
  set(made ${CMAKE_CURRENT_BINARY_DIR}/${NAME})
  set(debug -O2 -g -fdebug-compilation-dir=. -ffile-prefix-map=${CMAKE_CURRENT_SOURCE_DIR}/=
            -ffile-prefix-map=${SANDBAR_SDK}/=sdk/)
  set(strip)
  if(CMAKE_BUILD_TYPE STREQUAL Debug)
    list(TRANSFORM debug REPLACE "^-O2$" -O0)
  endif()
  if(CMAKE_BUILD_TYPE STREQUAL Release)
    set(debug -O2)
    set(strip -Wl,--strip-all)
  endif()
  set(objects)
  foreach(source IN LISTS ARGN SANDBAR_SOURCES ITEMS ${SANDBAR_SDK}/generated/record_processor.c)
    cmake_path(ABSOLUTE_PATH source)
    list(LENGTH objects number)
    set(object ${made}.${number}.o)
    if(source MATCHES "\\.(cc|cpp|cxx)$")
      set(language -std=c++20 -fno-exceptions -fno-rtti)
      set(target ${SANDBAR_CLANG} --target=wasm32-wasi --driver-mode=g++)
    else()
      set(language -std=gnu17)
    endif()
    add_custom_command(
      OUTPUT ${object} DEPENDS ${source} DEPFILE ${object}.d VERBATIM
      COMMAND ${SANDBAR_CLANG} --target=wasm32-wasi ${debug} ${language} -I${SANDBAR_SDK}/include
              -MD -MF ${object}.d -c ${source} -o ${object})
    list(APPEND objects ${object})
  endforeach()
  # With the stack first, one that is full traps instead of running into the plugin's data.
  add_custom_command(
    OUTPUT ${made}.core.wasm DEPENDS ${objects} VERBATIM
    COMMAND ${target} -mexec-model=reactor ${objects} ${SANDBAR_SDK}/generated/record_processor_component_type.o
            -Wl,--stack-first,-z,stack-size=131072 ${strip} -o ${made}.core.wasm)
  set(result ${made}.core.wasm)
  if(SANDBAR_PROGRAM)
    add_custom_command(OUTPUT ${made}.wasm DEPENDS ${made}.core.wasm VERBATIM
                       COMMAND ${SANDBAR_PROGRAM} build ${made}.core.wasm --to ${made}.wasm)
    set(result ${made}.wasm)
  endif()
  add_custom_target(${NAME} ALL DEPENDS ${result})
endfunction()

function(sandbar_test NAME)
  add_executable(${NAME} ${ARGN} ${SANDBAR_SOURCES} ${SANDBAR_SDK}/testing/host.c ${SANDBAR_SDK}/testing/state.c)
  target_include_directories(${NAME} PRIVATE ${SANDBAR_SDK}/include ${SANDBAR_SDK}/testing)
  if(ARGN MATCHES "\\.(cc|cpp|cxx)(;|$)")
    target_compile_features(${NAME} PRIVATE cxx_std_20)
    target_compile_options(${NAME} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wno-missing-field-initializers>)
  endif()
  target_compile_features(${NAME} PRIVATE c_std_11)
  target_link_libraries(${NAME} PRIVATE m)
  add_test(NAME ${NAME} COMMAND ${NAME})
endfunction()
