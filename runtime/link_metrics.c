/* link_metrics.c - see link_metrics.h.   SPDX-License-Identifier: MPL-2.0 */
#include "runtime/link_metrics.h"

#include <stdio.h>

static fw_counter_t *refused(fw_metrics_t *metrics, const char *door, const char *reason)
{
    char labels[64];
    (void)snprintf(labels, sizeof labels, "door=\"%s\",reason=\"%s\"", door, reason);
    return fw_metrics_counter(metrics, "freshwire_links_refused_total",
                              "Connections and messages refused because of their key.", labels);
}

fw_link_metrics_t fw_link_metrics_make(fw_metrics_t *metrics)
{
    fw_link_metrics_t made = {.malformed = refused(metrics, "none", "malformed")};
    for (int domain = 0; domain < FW_DOMAINS; domain++) {
        const char *door = fw_domain_name((fw_domain_t)domain);
        char labels[64];
        (void)snprintf(labels, sizeof labels, "door=\"%s\"", door);
        made.accepted[domain] = fw_metrics_counter(metrics, "freshwire_links_accepted_total",
                                                   "Connections that showed a known key.", labels);
        made.cut[domain] =
            fw_metrics_counter(metrics, "freshwire_links_cut_total",
                               "Connections shut down because their key was removed.", labels);
        made.removed[domain] = refused(metrics, door, "removed");
        for (int verdict = FW_VERDICT_UNKNOWN_KEY; verdict < FW_VERDICTS; verdict++)
            made.refused[domain][verdict] =
                refused(metrics, door, fw_verdict_name((fw_verdict_t)verdict));
    }
    return made;
}
