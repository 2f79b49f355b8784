// SPDX-License-Identifier: Apache-2.0
#include "budget.h"

#include "agent.h"
#include "session.h"

static void freed(struct agent_timer *timer)
{
	struct agent *agent = agent_container(timer, struct agent, budget.freed);
	struct agent_session *session = TAILQ_FIRST(&agent->sessions);

	for (; session; session = TAILQ_NEXT(session, link))
		agent_session_reconsider(session);
}

void agent_budget_init(struct agent *agent)
{
	agent->budget.freed.fire = freed;
}

void agent_budget_stop(struct agent *agent)
{
	agent_loop_disarm(&agent->loop, &agent->budget.freed);
}

static size_t share(const struct agent *agent)
{
	size_t equal = AGENT_BUDGET / (agent->n_sessions + !agent->n_sessions);

	return equal > AGENT_BUDGET_SHARE ? equal : AGENT_BUDGET_SHARE;
}

bool agent_budget_fits(struct agent *agent, size_t own, size_t more)
{
	if (agent->budget.used + more <= AGENT_BUDGET || own + more <= share(agent))
		return true;
	agent->budget.short_of = true;
	return false;
}

void agent_budget_take(struct agent *agent, size_t bytes)
{
	agent->budget.used += bytes;
}

void agent_budget_give_back(struct agent *agent, size_t bytes)
{
	agent->budget.used -= bytes;
	if (!agent->budget.short_of)
		return;
	agent->budget.short_of = false;
	agent_loop_arm(&agent->loop, &agent->budget.freed, deadline_after_ms(0));
}
