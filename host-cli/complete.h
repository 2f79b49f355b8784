/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can stand at a place of the command line, for the completions of shells.
 */
#ifndef HOST_CLI_COMPLETE_H
#define HOST_CLI_COMPLETE_H

#define COMPLETE_VERB "__complete"

/*
 * argv[1..] are the words behind "vmctl", the last of them the one that is being
 * written (it may be empty). Prints a line for each word that can stand there and
 * begins so: the whole word, a tab and what it is. A line ":files" says that a path
 * can.
 */
int complete_main(int argc, char **argv);

#endif
