// SPDX-License-Identifier: Apache-2.0
#include "identity.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sysfile.h"

#define ID_NONE ((unsigned long)UINT_MAX) /* -1 means "leave it" to setresuid(2) */

/* A number alone, below -1. */
static bool is_id(const char *text, unsigned long *id)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*id = strtoul(text, &end, 10);
	return !*end && !errno && *id < ID_NONE;
}

/* By name, or by uid if the name is NULL. errno as of getpwnam(3). */
static const struct passwd *find_user(const char *root, const char *name, uid_t uid)
{
	const struct passwd *p;
	FILE *f;

	errno = 0;
	if (!*root)
		return name ? getpwnam(name) : getpwuid(uid);
	f = sysfile_stream(root, "/etc/passwd", NULL);
	if (!f)
		return NULL;
	do {
		p = fgetpwent(f);
	} while (p && (name ? strcmp(p->pw_name, name) != 0 : p->pw_uid != uid));
	fclose(f);
	errno = 0;
	return p;
}

static int find_group(const char *root, const char *name, gid_t *gid, struct error *err)
{
	const struct group *g;
	FILE *f;

	errno = 0;
	if (!*root) {
		g = getgrnam(name);
	} else {
		f = sysfile_stream(root, "/etc/group", NULL);
		do {
			g = f ? fgetgrent(f) : NULL;
		} while (g && strcmp(g->gr_name, name) != 0);
		if (f)
			fclose(f);
	}
	if (!g)
		return error_set(err, -ENOENT, "the guest has no group '%s'", name);
	*gid = g->gr_gid;
	return 0;
}

static void take(struct identity *id, const struct passwd *p)
{
	id->known = true;
	id->uid = p->pw_uid;
	id->gid = p->pw_gid;
	snprintf(id->name, sizeof(id->name), "%s", p->pw_name);
	snprintf(id->home, sizeof(id->home), "%s", p->pw_dir);
	snprintf(id->shell, sizeof(id->shell), "%s", p->pw_shell);
}

int identity_find(const char *root, const char *text, struct identity *id,
		  struct error *err)
{
	char name[sizeof(id->name)], *group;
	const struct passwd *p;
	unsigned long number;
	bool by_number;

	memset(id, 0, sizeof(*id));
	if (strlen(text) >= sizeof(name))
		return error_set(err, -EINVAL, "a user name of %zu bytes",
				 strlen(text));
	snprintf(name, sizeof(name), "%s", text);
	group = strchr(name, ':');
	if (group)
		*group++ = '\0';
	number = geteuid();
	by_number = !*text || is_id(name, &number);
	p = find_user(root, by_number ? NULL : name, (uid_t)number);
	if (p)
		take(id, p);
	else if (!by_number || (*text && !group))
		return error_set(err, -ENOENT, "the guest has no user '%s'", name);
	if (!p) {
		id->uid = (uid_t)number;
		id->gid = getegid();
	}
	if (!group)
		return 0;
	if (!is_id(group, &number))
		return find_group(root, group, &id->gid, err);
	id->gid = (gid_t)number;
	return 0;
}

int identity_become(const struct identity *id, struct error *err)
{
	int ret;

	if (id->uid == geteuid() && id->uid == getuid() && id->gid == getegid())
		return 0;
	ret = id->known ? initgroups(id->name, id->gid) : setgroups(0, NULL);
	if (ret || setresgid(id->gid, id->gid, id->gid) ||
	    setresuid(id->uid, id->uid, id->uid))
		return error_set(err, -errno, "becoming user %u, group %u: %s", id->uid,
				 id->gid, strerror(errno));
	return 0;
}
