/* SPDX-License-Identifier: Apache-2.0 */
#include "terminal.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "io.h"

#define LEAVE_KEY   0x1d /* ^] */
#define LEAVE_TIMES 3
#define LEAVE_MS    1000

static const int endings[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

static struct termios saved;
static volatile sig_atomic_t taken, resized;

bool terminal_is(void)
{
	return isatty(STDIN_FILENO);
}

void terminal_give_back(void)
{
	if (!taken)
		return;
	taken = 0;
	tcsetattr(STDIN_FILENO, TCSANOW, &saved);
}

/* tcsetattr(3) and raise(3) may be called here. */
static void ending(int number)
{
	int kept = errno;

	terminal_give_back();
	signal(number, SIG_DFL);
	raise(number);
	errno = kept;
}

int terminal_take(struct error *err)
{
	struct sigaction action = {.sa_handler = ending}, old;
	struct termios raw;
	size_t i;

	if (tcgetattr(STDIN_FILENO, &saved))
		return error_set(err, -errno, "the terminal: %s", strerror(errno));
	raw = saved;
	cfmakeraw(&raw);
	taken = 1;
	for (i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
		/* What the user has had ignored, as by nohup(1), stays so. */
		if (!sigaction(endings[i], NULL, &old) && old.sa_handler != SIG_IGN)
			sigaction(endings[i], &action, NULL);
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw)) {
		taken = 0;
		return error_set(err, -errno, "the terminal: %s", strerror(errno));
	}
	return 0;
}

void terminal_size(uint32_t *rows, uint32_t *columns)
{
	struct winsize size = {0};

	*rows = 24;
	*columns = 80;
	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) || !size.ws_row || !size.ws_col)
		return;
	*rows = size.ws_row;
	*columns = size.ws_col;
}

static void window_changed(int number)
{
	(void)number;
	resized = 1;
}

void terminal_watch(sigset_t *mask)
{
	struct sigaction action = {.sa_handler = window_changed};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, mask);
	sigdelset(mask, SIGWINCH);
	sigaction(SIGWINCH, &action, NULL);
}

bool terminal_resized(void)
{
	bool was = resized;

	resized = 0;
	return was;
}

bool terminal_leaves(const uint8_t *bytes, size_t len)
{
	static unsigned int times;
	static deadline_t end;
	size_t i;

	for (i = 0; i < len; i++) {
		if (bytes[i] != LEAVE_KEY) {
			times = 0;
			continue;
		}
		if (!times || !deadline_left_ms(end)) {
			times = 0;
			end = deadline_after_ms(LEAVE_MS);
		}
		if (++times == LEAVE_TIMES)
			return true;
	}
	return false;
}
