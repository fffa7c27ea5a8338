#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>

#include "core/weight_files.h"

#define INDEX_NAME "model.safetensors.index.json"
#define SINGLE_NAME "model.safetensors"
#define INDEX_PATTERN "*.safetensors.index.json"
#define SINGLE_PATTERN "*.safetensors"
#define ADAPTER_PATTERN "adapter_*"

/* Weights that are not read, and how to make such that are. */
static const struct foreign {
	const char *pattern, *remedy;
} FOREIGN[];

struct listing {
	const char *dir;
	const char *remedy;
	struct dirent **entries; /* by name */
	int count;
};

static void listing_done(const struct listing *listing)
{
	for (int i = 0; i < listing->count; i++)
		free(listing->entries[i]);
	free(listing->entries);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* How many names match, adapters aside, and the first of them. */
static size_t count_matches(const struct listing *listing, const char *pattern,
			    const char **first)
{
	size_t count = 0;

	for (int i = 0; i < listing->count; i++) {
		const char *name = listing->entries[i]->d_name;

		if (fnmatch(pattern, name, FNM_PERIOD) != 0 ||
		    fnmatch(ADAPTER_PATTERN, name, 0) == 0)
			continue;
		if (count++ == 0)
			*first = name;
	}
	return count;
}

static int fail_without(const struct listing *listing, struct error *err)
{
	for (const struct foreign *f = FOREIGN; f->pattern; f++)
		for (int i = 0; i < listing->count; i++)
			if (fnmatch(f->pattern, listing->entries[i]->d_name,
				    FNM_PERIOD) == 0)
				return fail(err, ENOENT,
					    "%s has no safetensors weights of "
					    "a model, only %s: %s",
					    listing->dir,
					    listing->entries[i]->d_name,
					    f->remedy);
	return fail(err, ENOENT,
		    "%s has no weights (looked for " INDEX_NAME ", " SINGLE_NAME
		    " and any one " SINGLE_PATTERN ")%s",
		    listing->dir, listing->remedy);
}

static int choose(const struct listing *listing, const char **index,
		  const char **single, struct error *err)
{
	size_t count = count_matches(listing, INDEX_PATTERN, index);

	if (count == 1)
		return 0;
	if (count > 1)
		return fail(err, ENOENT,
			    "%s has %zu indices (%s, ...), none of them "
			    "named " INDEX_NAME,
			    listing->dir, count, *index);
	count = count_matches(listing, SINGLE_PATTERN, single);
	if (count == 1)
		return 0;
	if (count > 1)
		return fail(err, ENOENT,
			    "%s has %zu safetensors files (%s, ...), but "
			    "no " INDEX_NAME " to say which make the model%s",
			    listing->dir, count, *single, listing->remedy);
	return fail_without(listing, err);
}

static int search(const char *dir, const char *remedy, struct arena *arena,
		  struct weight_files *files, struct error *err)
{
	AUTO(listing_done) struct listing listing = { dir, remedy, NULL, 0 };
	const char *index = NULL, *single = NULL;
	int count, rc;

	count = scandir(dir, &listing.entries, NULL, by_name);
	if (count < 0)
		return fail(err, errno, "%s: %m", dir);
	listing.count = count;
	rc = choose(&listing, &index, &single, err);
	if (rc)
		return rc;
	if (index)
		files->index = arena_printf(arena, "%s/%s", dir, index);
	else
		files->single = arena_strdup(arena, single);
	if (!files->index && !files->single)
		return fail(err, ENOMEM, "%s: no memory", dir);
	return 0;
}

int weight_files_find(const char *dir, const char *remedy, struct arena *arena,
		      struct weight_files *files, struct error *err)
{
	const char *index = arena_printf(arena, "%s/" INDEX_NAME, dir);
	const char *single = arena_printf(arena, "%s/" SINGLE_NAME, dir);

	*files = (struct weight_files){ 0 };
	if (!index || !single)
		return fail(err, ENOMEM, "%s: no memory", dir);
	if (access(index, F_OK) == 0)
		files->index = index;
	else if (access(single, F_OK) == 0)
		files->single = SINGLE_NAME;
	else
		return search(dir, remedy, arena, files, err);
	return 0;
}

#define BY_TRANSFORMERS                                                    \
	"load the folder with transformers and save_pretrained() it to a " \
	"new one"

static const struct foreign FOREIGN[] = {
	{ "adapter_model.*", "a LoRA adapter, which must be merged into its "
			     "base first (peft: merge_and_unload)" },
	{ "pytorch_model*.bin", BY_TRANSFORMERS },
	{ "*.pth", BY_TRANSFORMERS },
	{ "*.pt", BY_TRANSFORMERS },
	{ "*.ckpt", BY_TRANSFORMERS },
	{ "*.h5", BY_TRANSFORMERS },
	{ "*.msgpack", BY_TRANSFORMERS },
	{ "*.gguf", BY_TRANSFORMERS " (gguf_file=...)" },
	{ NULL, NULL },
};
