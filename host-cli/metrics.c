/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "ask.h"
#include "verbs.h"
#include "vmctl/agent/v1/metrics.pb-c.h"

static const struct options_syntax syntax = {
	.verb = "metrics",
	.operands = "VM",
	.about = "Prints the guest's figures as OpenMetrics text, for Prometheus and\n"
		 "others. With --json they are the member \"text\".",
	.min_args = 1,
	.max_args = 1,
};

/* As text_sanitize(), but lines stay lines. */
static void sanitize(char *text)
{
	for (; *text; text++)
		if (*text != '\n' && (*text < ' ' || *text > '~'))
			*text = '?';
}

int metrics_main(int argc, char **argv)
{
	Vmctl__Agent__V1__GetMetricsRequest request =
		VMCTL__AGENT__V1__GET_METRICS_REQUEST__INIT;
	struct ask ask = {
		.method = "GetMetrics",
		.request = &request.base,
		.type = &vmctl__agent__v1__get_metrics_response__descriptor,
	};
	Vmctl__Agent__V1__GetMetricsResponse *answer;
	ProtobufCMessage *m = NULL;
	struct options options;
	deadline_t deadline;
	struct report r;
	struct vm vm;
	int ret = options_parse(argc, argv, &syntax, &options, NULL);

	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	deadline = deadline_after_ms(options.timeout_ms);
	report_begin(&r, &options, syntax.verb, options.args[0]);
	if (vm_resolve(&vm, options.args[0], NULL, &r) == STATUS_OK &&
	    ask_agent_raw(&ask, &vm, deadline, &m, &r) == STATUS_OK) {
		answer = (Vmctl__Agent__V1__GetMetricsResponse *)m;
		if (*answer->text)
			sanitize(answer->text);
		if (options.json)
			report_set(&r, "text", json_string(answer->text));
		else
			fputs(answer->text, stdout);
	}
	message_free(m);
	return report_finish(&r);
}
