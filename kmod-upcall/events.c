// SPDX-License-Identifier: GPL-2.0-only
#define pr_fmt(fmt) "upcall: " fmt

#include <linux/err.h>
#include <linux/list.h>
#include <linux/module.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>

#include "events.h"
#include "plugged.h"
#include "upcall_netlink.h"

/* A batch of 255 CPUs is 17 KiB; more than that in one event is cut. */
#define EVENT_SIZE (24 * 1024)

static int dump_list(struct sk_buff *skb, struct netlink_callback *cb);

static const struct genl_small_ops ops[] = {
	{
		.cmd = UPCALL_GENL_CMD_LIST,
		.flags = GENL_ADMIN_PERM, /* it has physical addresses */
		.validate = GENL_DONT_VALIDATE_STRICT | GENL_DONT_VALIDATE_DUMP,
		.dumpit = dump_list,
	},
};

static const struct genl_multicast_group groups[] = {
	{.name = UPCALL_GENL_EVENTS, .flags = GENL_MCAST_CAP_NET_ADMIN},
};

static struct genl_family family __ro_after_init = {
	.name = UPCALL_GENL_NAME,
	.version = UPCALL_GENL_VERSION,
	.maxattr = 0, /* requests have no attributes */
	.module = THIS_MODULE,
	.small_ops = ops,
	.n_small_ops = ARRAY_SIZE(ops),
	.resv_start_op = UPCALL_GENL_CMD_EVENT + 1,
	.mcgrps = groups,
	.n_mcgrps = ARRAY_SIZE(groups),
};

static int put_thing(struct sk_buff *skb, const struct plugged *plugged)
{
	return nla_put(skb, UPCALL_GENL_ATTR_THING,
		       plugged->count * sizeof(plugged->entry[0]), plugged->entry);
}

struct dump_state {
	struct sk_buff *skb;
	struct netlink_callback *cb;
	long index; /* of the record at hand */
};

/* cb->args[0]: how many records the messages before this one had. */
static int dump_one(const struct plugged *plugged, void *data)
{
	struct dump_state *state = data;
	void *header;

	if (state->index++ < state->cb->args[0])
		return 0;
	header = genlmsg_put(state->skb, NETLINK_CB(state->cb->skb).portid,
			     state->cb->nlh->nlmsg_seq, &family, NLM_F_MULTI,
			     UPCALL_GENL_CMD_LIST);
	if (!header)
		return -EMSGSIZE;
	genl_dump_check_consistent(state->cb, header);
	if (put_thing(state->skb, plugged)) {
		genlmsg_cancel(state->skb, header);
		return -EMSGSIZE;
	}
	genlmsg_end(state->skb, header);
	state->cb->args[0]++;
	return 0;
}

static u32 generation_of(u64 generation)
{
	/* 0 would mean that there is none (nl_dump_check_consistent()). */
	return (u32)generation + 1 ?: 1;
}

static int dump_list(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct dump_state state = {.skb = skb, .cb = cb};

	cb->seq = generation_of(plugged_generation());
	plugged_visit(dump_one, &state);
	return skb->len;
}

struct event_state {
	struct sk_buff *skb;
	u64 request;
	bool cut;
};

static int put_plugged(const struct plugged *plugged, void *data)
{
	struct event_state *state = data;

	if (le64_to_cpu(plugged->entry[0].request) != state->request)
		return 0;
	state->cut = put_thing(state->skb, plugged);
	return state->cut;
}

static int put_things(struct sk_buff *skb, const struct request_type *type,
		      const struct report *report)
{
	struct event_state state = {.skb = skb, .request = report->request};
	const struct plugged *plugged;
	struct nlattr *nest;

	nest = nla_nest_start(skb, type->op == REQUEST_ADD
					   ? UPCALL_GENL_ATTR_PLUGGED
					   : UPCALL_GENL_ATTR_UNPLUGGED);
	if (!nest)
		return -EMSGSIZE;
	if (type->op == REQUEST_ADD) {
		plugged_visit(put_plugged, &state);
	} else {
		list_for_each_entry (plugged, &report->gone, list) {
			state.cut = put_thing(skb, plugged);
			if (state.cut)
				break;
		}
	}
	nla_nest_end(skb, nest);
	return state.cut ? nla_put_flag(skb, UPCALL_GENL_ATTR_CUT) : 0;
}

/* What failed half-way may have unplugged something for good, or have left it plugged.
 */
static bool has_things(const struct request_type *type, int ret,
		       const struct report *report)
{
	if (type->op == REQUEST_DEL)
		return !ret || !list_empty(&report->gone);
	return !ret || report->stuck;
}

static int fill_event(struct sk_buff *skb, const struct request_type *type, int ret,
		      const struct report *report)
{
	void *header = genlmsg_put(skb, 0, 0, &family, 0, UPCALL_GENL_CMD_EVENT);

	if (!header)
		return -EMSGSIZE;
	if (nla_put_u64_64bit(skb, UPCALL_GENL_ATTR_REQUEST, report->request,
			      UPCALL_GENL_ATTR_PAD) ||
	    nla_put_u32(skb, UPCALL_GENL_ATTR_TYPE, type->number) ||
	    nla_put_string(skb, UPCALL_GENL_ATTR_TYPE_NAME, type->name) ||
	    nla_put_s32(skb, UPCALL_GENL_ATTR_RET, ret) ||
	    (ret && nla_put_string(skb, UPCALL_GENL_ATTR_REASON, report->reason)) ||
	    nla_put_u64_64bit(skb, UPCALL_GENL_ATTR_KERNEL_NS, report->kernel_ns,
			      UPCALL_GENL_ATTR_PAD) ||
	    nla_put_u64_64bit(skb, UPCALL_GENL_ATTR_TOTAL_NS, report->total_ns,
			      UPCALL_GENL_ATTR_PAD) ||
	    (has_things(type, ret, report) && put_things(skb, type, report)))
		return -EMSGSIZE;
	genlmsg_end(skb, header);
	return 0;
}

void events_send(const struct request_type *type, int ret, const struct report *report)
{
	struct sk_buff *skb;
	int err;

	if (!genl_has_listeners(&family, &init_net, 0))
		return;
	skb = genlmsg_new(EVENT_SIZE, GFP_KERNEL);
	err = skb ? fill_event(skb, type, ret, report) : -ENOMEM;
	if (err) {
		pr_warn_ratelimited("request %llu: no event could be sent: %pe\n",
				    report->request, ERR_PTR(err));
		nlmsg_free(skb);
		return;
	}
	genlmsg_multicast(&family, skb, 0, 0, GFP_KERNEL);
}

int events_init(void)
{
	return genl_register_family(&family);
}

void events_exit(void)
{
	genl_unregister_family(&family);
}
