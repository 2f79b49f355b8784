/* SPDX-License-Identifier: GPL-2.0-only */
/* Tracepoints: events/upcall in tracefs. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM upcall

#if !defined(UPCALL_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define UPCALL_TRACE_H

#include <linux/tracepoint.h>

/* clang-format off */

/* A request's turn has come. */
TRACE_EVENT(upcall_request_start,
	TP_PROTO(u64 request, u32 type),
	TP_ARGS(request, type),
	TP_STRUCT__entry(
		__field(u64, request)
		__field(u32, type)
	),
	TP_fast_assign(
		__entry->request = request;
		__entry->type = type;
	),
	TP_printk("request=%llu type=%#x", __entry->request, __entry->type)
);

/* It has been carried out or refused; the reply is next. */
TRACE_EVENT(upcall_request_end,
	TP_PROTO(u64 request, u32 type, int ret, u64 kernel_ns, u64 total_ns),
	TP_ARGS(request, type, ret, kernel_ns, total_ns),
	TP_STRUCT__entry(
		__field(u64, request)
		__field(u32, type)
		__field(int, ret)
		__field(u64, kernel_ns)
		__field(u64, total_ns)
	),
	TP_fast_assign(
		__entry->request = request;
		__entry->type = type;
		__entry->ret = ret;
		__entry->kernel_ns = kernel_ns;
		__entry->total_ns = total_ns;
	),
	TP_printk("request=%llu type=%#x ret=%d kernel_ns=%llu total_ns=%llu",
		  __entry->request, __entry->type, __entry->ret, __entry->kernel_ns,
		  __entry->total_ns)
);

/* clang-format on */

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
