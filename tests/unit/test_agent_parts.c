// SPDX-License-Identifier: Apache-2.0
/* The agent's parsers and small decisions, one by one. */
#include "test_agent_common.h"

#include <linux/vm_sockets.h>

#include "../../agent/decode.h"
#include "../../agent/guest_cpu.h"
#include "../../agent/guest_info.h"
#include "../../agent/listener.h"
#include "../../agent/log.h"

static bool let_in(uint32_t cid, sa_family_t family, socklen_t len)
{
	struct sockaddr_storage peer = {0};
	struct sockaddr_vm vm = {
		.svm_family = family,
		.svm_cid = cid,
		.svm_port = 1023,
	};

	memcpy(&peer, &vm, sizeof(vm));
	return agent_peer_is_host(&peer, len);
}

static void only_the_host_is_let_in(void **state)
{
	socklen_t len = sizeof(struct sockaddr_vm);

	(void)state;
	assert_true(let_in(2, AF_VSOCK, len));
	assert_false(let_in(0, AF_VSOCK, len));		 /* the hypervisor */
	assert_false(let_in(1, AF_VSOCK, len));		 /* loopback */
	assert_false(let_in(3, AF_VSOCK, len));		 /* a guest */
	assert_false(let_in(UINT32_MAX, AF_VSOCK, len)); /* any */
	assert_false(let_in(2, AF_UNIX, len));
	assert_false(let_in(2, AF_INET, len));
	assert_false(let_in(2, AF_VSOCK, len - 1)); /* cut short */
	assert_false(let_in(2, AF_VSOCK, 0));
}

static int parse_address(const char *text, struct agent_address *address)
{
	struct error err;

	return agent_address_parse(text, address, &err);
}

static void addresses_are_vsock_ports_and_unix_paths(void **state)
{
	struct agent_address a;
	char text[200];

	(void)state;
	assert_int_equal(parse_address("vsock:220", &a), 0);
	assert_int_equal(a.kind, AGENT_ADDRESS_VSOCK);
	assert_int_equal(a.port, 220);
	assert_int_equal(parse_address("vsock:4294967294", &a), 0);
	assert_int_equal(a.port, 4294967294u);
	assert_int_equal(parse_address("unix:/run/agent.sock", &a), 0);
	assert_int_equal(a.kind, AGENT_ADDRESS_UNIX);
	assert_string_equal(a.path, "/run/agent.sock");
	memset(text, 'x', sizeof(text));
	memcpy(text, "unix:", 5);
	text[5 + 107] = '\0';
	assert_int_equal(parse_address(text, &a), 0);
	text[5 + 107] = 'x';
	text[5 + 108] = '\0';
	assert_int_equal(parse_address(text, &a), -ENAMETOOLONG);
}

static void what_is_no_address_is_refused(void **state)
{
	static const char *const wrong[] = {
		"",
		"vsock",
		"vsock:",
		"vsock:0",
		"vsock:-1",
		"vsock: 1",
		"vsock:+1",
		"vsock:220x",
		"vsock:2:220",
		"vsock:4294967295",
		"vsock:4294967296",
		"vsock:99999999999999999999",
		"unix:",
		"tcp:localhost:1",
		"/run/x",
	};
	struct agent_address a;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(parse_address(wrong[i], &a), -EINVAL);
}

static void cpu_lists_are_read(void **state)
{
	struct guest_cpu_mask m;

	(void)state;
	assert_int_equal(guest_cpu_parse("0\n", &m), 0);
	assert_int_equal(guest_cpu_count(&m), 1);
	assert_int_equal(guest_cpu_parse("\n", &m), 0);
	assert_int_equal(guest_cpu_count(&m), 0);
	assert_int_equal(guest_cpu_parse("", &m), 0);
	assert_int_equal(guest_cpu_count(&m), 0);
	assert_int_equal(guest_cpu_parse("0-2,63-64,8191\n", &m), 0);
	assert_int_equal(guest_cpu_count(&m), 6);
	assert_true(guest_cpu_test(&m, 0) && guest_cpu_test(&m, 2));
	assert_true(guest_cpu_test(&m, 63) && guest_cpu_test(&m, 64));
	assert_true(guest_cpu_test(&m, 8191));
	assert_false(guest_cpu_test(&m, 3) || guest_cpu_test(&m, 65));
	assert_false(guest_cpu_test(&m, 8192) || guest_cpu_test(&m, UINT32_MAX));
}

static void what_is_no_cpu_list_is_refused(void **state)
{
	static const char *const wrong[] = {"x",    "-1",   "1-",  "3-1", "1,,2",
					    "1,\n", "1\n2", "1 2", ",",	  "0x1"};
	struct guest_cpu_mask m;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(guest_cpu_parse(wrong[i], &m), -EINVAL);
	assert_int_equal(guest_cpu_parse("8192\n", &m), -ERANGE);
	assert_int_equal(guest_cpu_parse("0-8192\n", &m), -ERANGE);
	assert_int_equal(guest_cpu_parse("0-99999999999999999999\n", &m), -ERANGE);
}

static void meminfo_lines_are_found_by_their_whole_name(void **state)
{
	static const char text[] =
		"SwapMemTotal:  1 kB\nMemTotalX: 2 kB\nMemTotal:  3 kB\n";
	uint64_t bytes = 0;

	(void)state;
	assert_int_equal(guest_info_parse_meminfo(text, "MemTotal", &bytes), 0);
	assert_int_equal(bytes, 3072);
	assert_int_equal(guest_info_parse_meminfo(text, "MemFree", &bytes), -ENOENT);
	assert_int_equal(guest_info_parse_meminfo("", "MemFree", &bytes), -ENOENT);
	assert_int_equal(
		guest_info_parse_meminfo("MemTotal: -3 kB\n", "MemTotal", &bytes),
		-EINVAL);
	assert_int_equal(
		guest_info_parse_meminfo("MemTotal: 3 MB\n", "MemTotal", &bytes),
		-EINVAL);
	assert_int_equal(guest_info_parse_meminfo("MemTotal: 18446744073709551615 kB\n",
						  "MemTotal", &bytes),
			 -EINVAL);
	assert_int_equal(guest_info_parse_meminfo("MemTotal:", "MemTotal", &bytes),
			 -EINVAL);
}

static void decoding_survives_every_limit_on_memory(void **state)
{
	Ttrpc__Request request = TTRPC__REQUEST__INIT;
	size_t entries = 20000, len;
	Ttrpc__KeyValue *list;
	Ttrpc__KeyValue **pointers;
	ProtobufCMessage *message;
	uint8_t *packed;

	(void)state;
	list = calloc(entries, sizeof(*list));
	pointers = calloc(entries, sizeof(*pointers));
	assert_true(list && pointers);
	for (size_t i = 0; i < entries; i++) {
		ttrpc__key_value__init(&list[i]);
		list[i].key = (char *)"k";
		pointers[i] = &list[i];
	}
	request.service = (char *)"service";
	request.metadata = pointers;
	/* From what fits to what does not: somewhere between, each step fails once. */
	for (request.n_metadata = 0; request.n_metadata < entries;
	     request.n_metadata += 1 + request.n_metadata / 50) {
		len = ttrpc__request__get_packed_size(&request);
		packed = malloc(len + 1);
		assert_non_null(packed);
		ttrpc__request__pack(&request, packed);
		message = agent_decode(&ttrpc__request__descriptor, packed, len);
		if (request.n_metadata < 100)
			assert_non_null(message);
		if (request.n_metadata > 15000)
			assert_null(message);
		agent_decode_free(message);
		free(packed);
	}
	free(list);
	free(pointers);
}

static void a_peers_text_becomes_printable(void **state)
{
	char out[8];

	(void)state;
	assert_string_equal(agent_log_printable("a\nb\x1b\xff", out, sizeof(out)),
			    "a?b??");
	assert_string_equal(agent_log_printable("longer than that", out, sizeof(out)),
			    "longer ");
	assert_string_equal(agent_log_printable("", out, sizeof(out)), "");
}

static void the_same_complaint_is_logged_once_in_a_while(void **state)
{
	struct agent_log_limit limit = {0};
	unsigned int skipped = 99;

	(void)state;
	assert_true(agent_log_permit(&limit, &skipped));
	assert_int_equal(skipped, 0);
	assert_false(agent_log_permit(&limit, &skipped));
	assert_false(agent_log_permit(&limit, &skipped));
	limit.next = 1; /* as if the time had passed */
	assert_true(agent_log_permit(&limit, &skipped));
	assert_int_equal(skipped, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_host_is_let_in),
		cmocka_unit_test(addresses_are_vsock_ports_and_unix_paths),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(cpu_lists_are_read),
		cmocka_unit_test(what_is_no_cpu_list_is_refused),
		cmocka_unit_test(meminfo_lines_are_found_by_their_whole_name),
		cmocka_unit_test(decoding_survives_every_limit_on_memory),
		cmocka_unit_test(a_peers_text_becomes_printable),
		cmocka_unit_test(the_same_complaint_is_logged_once_in_a_while),
	};

	return cmocka_run_group_tests_name("agent_parts", tests, NULL, NULL);
}
