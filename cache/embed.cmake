# cmake -DOUTPUT=<file.c> "-DSCRIPTS=<a.lua>|<b.lua>" -P embed.cmake: writes each script and its SHA-1 as constants of
# scripts.h.
string(REPLACE "|" ";" SCRIPTS "${SCRIPTS}")
set(text "/* Generated from cache/lua by cache/embed.cmake. */\n#include \"cache/scripts.h\"\n")
foreach(script ${SCRIPTS})
  get_filename_component(name ${script} NAME_WE)
  file(SHA1 ${script} sha)
  file(READ ${script} bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "    \\1\n" bytes "${bytes}")
  string(APPEND text "\nstatic const char ${name}_source[] = {\n${bytes}\n0};\n"
    "const fw_text_t fw_cache_script_${name} = {${name}_source, sizeof(${name}_source) - 1};\n"
    "const fw_text_t fw_cache_script_${name}_sha = {\"${sha}\", FW_CACHE_SCRIPT_SHA_SIZE};\n")
endforeach()
file(WRITE ${OUTPUT} "${text}")
