#include <assert.h>
#include <errno.h>

#include "fs/tree_inside.h"

void tree_set_target(struct node *link, char *target)
{
	free((void *)(uintptr_t)link->text);
	link->text = target;
	link->size = target ? strlen(target) : 0;
}

/* Also one that was taken away: it has no target then. */
static struct node *find_link(const struct tree *tree, const char *name)
{
	for (size_t i = 0; i < tree->own.count; i++) {
		struct node *node = tree->own.nodes[i];

		if (node->kind == NODE_LINK && strcmp(node->name, name) == 0)
			return node;
	}
	return NULL;
}

/* Put the link into the root, where it is not: the one of this name that was
 * there before, or a new one. */
static int show_link(struct tree *tree, struct node *link, const char *name,
		     struct error *err)
{
	static const struct node model = { .kind = NODE_LINK };
	struct node *root = tree_root(tree);
	int rc = node_check_name(name, name, err);

	if (rc || (link && link->text))
		return rc;
	if (!link)
		return tree_add_own(tree, name, &model, err);
	if (node_child(root, name))
		return fail(err, EINVAL, "%s is there already", name);
	if (!node_reserve(root, 1))
		return fail(err, ENOMEM, "%s: no memory", name);
	node_insert(root, link);
	tree->shown++;
	return 0;
}

static int point(struct tree *tree, const char *name, char **target,
		 struct error *err)
{
	struct node *link = find_link(tree, name);
	struct node *root = tree_root(tree);
	bool shown = link && link->text;
	int rc = *target ? show_link(tree, link, name, err) : 0;

	if (rc || (!shown && !*target))
		return rc;
	link = find_link(tree, name);
	assert(link);
	if (!*target) {
		node_take_out(root, NULL, link);
		tree->shown--;
	}
	tree_set_target(link, TAKE(*target));
	clock_gettime(CLOCK_REALTIME, &link->mtime);
	if (shown != (link->text != NULL))
		root->mtime = link->mtime;
	return 0;
}

int tree_link(struct tree *tree, const char *name, const char *target,
	      struct error *err)
{
	AUTO_FREE char *copy = target ? strdup(target) : NULL;
	int rc;

	if (target && !copy)
		return fail(err, ENOMEM, "%s: no memory", name);
	pthread_mutex_lock(&tree->lock);
	rc = point(tree, name, &copy, err);
	pthread_mutex_unlock(&tree->lock);
	return rc;
}

char *tree_link_target(struct tree *tree, const char *name)
{
	const struct node *link;
	char *target = NULL;

	pthread_mutex_lock(&tree->lock);
	link = find_link(tree, name);
	if (link && link->text)
		target = strdup(link->text);
	pthread_mutex_unlock(&tree->lock);
	return target;
}
