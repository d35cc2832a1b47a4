# One file per topic, so that each can change on its own.
file(GLOB topics CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.cmake)
list(REMOVE_ITEM topics ${CMAKE_CURRENT_LIST_DIR}/tests.cmake)
foreach(topic ${topics})
  include(${topic})
endforeach()
