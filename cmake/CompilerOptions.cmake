# fw_options: what every Freshwire target is compiled with. No global flags anywhere.
set(FW_SANITIZERS "" CACHE STRING "Comma-separated sanitizers: address,undefined | thread | fuzzer-no-link,address,undefined")
option(FW_COVERAGE "Instrument for gcov" OFF)
option(FW_HARDENING "Harden release binaries" OFF)

add_library(fw_options INTERFACE)
target_compile_features(fw_options INTERFACE c_std_17)
target_compile_definitions(fw_options INTERFACE _GNU_SOURCE)
target_include_directories(fw_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(fw_options INTERFACE
  -std=gnu17 -fno-common -g -UNDEBUG # asserts stay in release builds
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes
  -Wmissing-prototypes -Wold-style-definition -Wcast-qual -Wwrite-strings -Wformat=2 -Wundef -Wvla
  -Wnull-dereference -Wimplicit-fallthrough
  $<$<C_COMPILER_ID:Clang>:-Wno-gnu-zero-variadic-macro-arguments>)
if(FW_SANITIZERS)
  # Instrumented code hides the sizes that this warning reasons about.
  target_compile_options(fw_options INTERFACE -fsanitize=${FW_SANITIZERS} -fno-omit-frame-pointer
    -fno-sanitize-recover=all $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation>)
  target_link_options(fw_options INTERFACE -fsanitize=${FW_SANITIZERS})
endif()
if(FW_COVERAGE)
  target_compile_options(fw_options INTERFACE --coverage)
  target_link_options(fw_options INTERFACE --coverage)
endif()
if(FW_HARDENING)
  target_compile_options(fw_options INTERFACE -fstack-protector-strong -fstack-clash-protection -D_FORTIFY_SOURCE=2)
  target_link_options(fw_options INTERFACE -Wl,-z,relro,-z,now)
endif()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
