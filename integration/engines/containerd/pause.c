/* SPDX-License-Identifier: Apache-2.0 */
/* The first process of a pod: it holds the namespaces, and reaps what is left to it. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void over(int signal) { _exit(128 + signal); }
static void reap(int signal)
{
	(void)signal;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

int main(void)
{
	signal(SIGTERM, over);
	signal(SIGINT, over);
	signal(SIGCHLD, reap);
	for (;;)
		pause();
}
