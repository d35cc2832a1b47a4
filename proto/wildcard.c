/* wildcard.c - see wildcard.h.   SPDX-License-Identifier: MPL-2.0 */
#include "proto/wildcard.h"

bool fw_wildcard_match(fw_text_t pattern, fw_text_t text)
{
    size_t p = 0;
    size_t t = 0;
    size_t star = SIZE_MAX; /* behind the last '*' */
    size_t mark = 0;        /* where the text that it stands for ends so far */
    while (t < text.size) {
        if (p < pattern.size && pattern.text[p] == '*') {
            star = ++p;
            mark = t;
        } else if (p < pattern.size &&
                   (pattern.text[p] == '?' || pattern.text[p] == text.text[t])) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star;
            t = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.size && pattern.text[p] == '*')
        p++;
    return p == pattern.size;
}
