// SPDX-License-Identifier: Apache-2.0
#include "metrics_service.h"

#include "answer.h"
#include "metrics.h"
#include "vmctl/agent/v1/metrics.pb-c.h"

static int make_metrics(struct agent_answer *answer, const struct agent *agent,
			const ProtobufCMessage *request, struct error *err)
{
	Vmctl__Agent__V1__GetMetricsResponse response =
		VMCTL__AGENT__V1__GET_METRICS_RESPONSE__INIT;

	(void)request;
	response.text = metrics_text(agent, METRICS_OPENMETRICS, err);
	if (!response.text)
		return err->code;
	return agent_answer_send(answer, &response.base, err);
}

static void get_metrics(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start_slow(call, request, make_metrics);
}

static const struct agent_method methods[] = {
	{
		.name = "GetMetrics",
		.request = &vmctl__agent__v1__get_metrics_request__descriptor,
		.request_max = 4096,
		.response = &vmctl__agent__v1__get_metrics_response__descriptor,
		.handle = get_metrics,
		.cancel = agent_answer_cancel,
	},
};

const struct agent_service metrics_service = {
	.name = "vmctl.agent.v1.GuestAgent",
	.methods = methods,
	.n_methods = sizeof(methods) / sizeof(methods[0]),
};
