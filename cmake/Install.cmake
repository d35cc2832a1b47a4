# What is installed: the binary, and the libraries that a C service links (publisher and cache, with what they stand on).
# A service says find_package(freshwire) and links freshwire::publisher or freshwire::cache; tests/consumer does.
include(CMakePackageConfigHelpers)
set(FW_CONFIG_FOLDER ${CMAKE_INSTALL_LIBDIR}/cmake/freshwire)
set(FW_INCLUDE_FOLDER ${CMAKE_INSTALL_INCLUDEDIR}/freshwire)

# Our compile options are nobody else's business: fw_options stays out of what is exported.
function(fw_install_library target name)
  get_target_property(links ${target} INTERFACE_LINK_LIBRARIES)
  list(REMOVE_ITEM links fw_options $<LINK_ONLY:fw_options>)
  set_target_properties(${target} PROPERTIES INTERFACE_LINK_LIBRARIES "${links}" EXPORT_NAME ${name})
  target_include_directories(${target} INTERFACE $<INSTALL_INTERFACE:${FW_INCLUDE_FOLDER}>)
  install(TARGETS ${target} EXPORT freshwire ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
endfunction()

fw_install_library(fw_proto proto)
fw_install_library(fw_runtime runtime)
fw_install_library(fw_cache cache)
fw_install_library(fw_publisher publisher)
install(EXPORT freshwire NAMESPACE freshwire:: DESTINATION ${FW_CONFIG_FOLDER} COMPONENT development)

foreach(folder proto runtime cache)
  install(DIRECTORY ${folder}/ DESTINATION ${FW_INCLUDE_FOLDER}/${folder} COMPONENT development
    FILES_MATCHING PATTERN "*.h" PATTERN "*_internal.h" EXCLUDE PATTERN cache/batch.h EXCLUDE PATTERN cache/connection.h EXCLUDE PATTERN cache/sentinel.h EXCLUDE PATTERN lua EXCLUDE PATTERN freshwire EXCLUDE
    PATTERN runtime/context.h EXCLUDE PATTERN runtime/fetch.h EXCLUDE PATTERN runtime/json.h EXCLUDE PATTERN runtime/log_route.h EXCLUDE)
endforeach()
install(FILES clients/c/publisher.h clients/c/fire.h DESTINATION ${FW_INCLUDE_FOLDER}/clients/c COMPONENT development)
install(DIRECTORY proto/freshwire DESTINATION ${CMAKE_INSTALL_DATADIR}/freshwire/proto COMPONENT development
  FILES_MATCHING PATTERN "*.proto")

configure_package_config_file(cmake/freshwireConfig.cmake.in ${PROJECT_BINARY_DIR}/freshwireConfig.cmake
  INSTALL_DESTINATION ${FW_CONFIG_FOLDER} NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/freshwireConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/freshwireConfig.cmake ${PROJECT_BINARY_DIR}/freshwireConfigVersion.cmake
  DESTINATION ${FW_CONFIG_FOLDER} COMPONENT development)

# For services that are built without CMake. The prefix is found from the file's own place, so a tree can be moved.
file(RELATIVE_PATH FW_PC_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
foreach(module freshwire freshwire-cache)
  configure_file(cmake/${module}.pc.in ${PROJECT_BINARY_DIR}/${module}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${module}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
endforeach()

install(TARGETS freshwire RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT runtime)
install(FILES cli/freshwire.yaml DESTINATION ${CMAKE_INSTALL_DATADIR}/freshwire COMPONENT runtime)
install(FILES deploy/systemd/freshwire.service DESTINATION lib/systemd/system COMPONENT runtime)
install(FILES LICENSE CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT runtime)
