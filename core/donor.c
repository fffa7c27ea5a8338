#include "core/donor.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <sys/stat.h>

#include "core/base/file.h"
#include "core/sidecar.h"

#define FOLDERS_MAX SIDECAR_FILES_MAX

/* Folders still to be read; a folder found joins the end. */
struct walk {
	const char *dir; /* of the model */
	struct arena *arena;
	struct report *report;
	struct donor_files *files;
	const char **folders; /* relative; "" is the model's own */
	size_t folders_count, folders_done;
	bool full; /* a limit was reached, and it has been said */
};

bool donor_leaves_out(const char *name)
{
	static const char *const patterns[] = {
		/* what no model needs: .git, .cache, .DS_Store, ... */
		".*",
		"__pycache__",
		/* weights and their index files */
		"*.safetensors",
		"*.bin",
		"*.gguf",
		"*.ggml",
		"*.pt",
		"*.pth",
		"*.ckpt",
		"*.h5",
		"*.msgpack",
		"*.onnx",
		"*.onnx_data",
		"*.npz",
		"*.tflite",
		"*.ot",
		"*.index.json",
		"consolidated*",
		"adapter_*",
		/* training state */
		"optimizer*",
		"checkpoint-[0-9]*",
		"global_step[0-9]*",
		"trainer_state.json",
	};

	for (size_t i = 0; i < ARRAY_LEN(patterns); i++)
		if (fnmatch(patterns[i], name, FNM_CASEFOLD) == 0)
			return true;
	return false;
}

static bool is_plain(const char *name)
{
	for (; *name; name++)
		if (iscntrl((unsigned char)*name))
			return false;
	return true;
}

static size_t depth_of(const char *path)
{
	size_t depth = 1;

	for (; *path; path++)
		depth += *path == '/';
	return depth;
}

/* Add a path to one of the two lists, unless it has max already. */
static void push(struct walk *walk, const char **list, size_t *count,
		 size_t max, const char *path)
{
	if (*count < max) {
		list[(*count)++] = path;
	} else if (!walk->full) {
		walk->full = true;
		report_warning(walk->report,
			       "%s: left out from %s on: more than %zu entries",
			       walk->dir, path, max);
	}
}

static void add_folder(struct walk *walk, const char *path)
{
	if (depth_of(path) < SIDECAR_DEPTH_MAX)
		push(walk, walk->folders, &walk->folders_count, FOLDERS_MAX,
		     path);
	else
		report_warning(walk->report,
			       "%s/%s: left out with all in it: more than %d "
			       "folders deep",
			       walk->dir, path, SIDECAR_DEPTH_MAX);
}

static void add_file(struct walk *walk, const char *path, const struct stat *st)
{
	if (st->st_size <= SIDECAR_SIZE_MAX)
		push(walk, walk->files->paths, &walk->files->count,
		     SIDECAR_FILES_MAX, path);
	else
		report_warning(walk->report,
			       "%s/%s: left out: larger than %u bytes",
			       walk->dir, path, SIDECAR_SIZE_MAX);
}

/* Look at one entry of the folder that `fd` is. 0 or -ENOMEM. */
static int add_entry(struct walk *walk, int fd, const char *folder,
		     const char *name)
{
	struct stat st;
	char *path;
	bool link;

	if (donor_leaves_out(name))
		return 0;
	path = arena_printf(walk->arena, "%s%s%s", folder, *folder ? "/" : "",
			    name);
	if (!path)
		return -ENOMEM;
	if (!is_plain(name)) {
		report_warning(walk->report,
			       "%s/%s: left out: its name holds a control "
			       "character",
			       walk->dir, path);
		return 0;
	}
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* gone since it was listed */
	link = S_ISLNK(st.st_mode);
	if (link && fstatat(fd, name, &st, 0) < 0)
		report_warning(walk->report, "%s/%s: left out: %m", walk->dir,
			       path);
	else if (link && S_ISDIR(st.st_mode))
		report_warning(walk->report,
			       "%s/%s: left out: a symbolic link to a folder",
			       walk->dir, path);
	else if (S_ISDIR(st.st_mode))
		add_folder(walk, path);
	else if (S_ISREG(st.st_mode))
		add_file(walk, path, &st);
	return 0;
}

static int read_folder(struct walk *walk, const char *folder)
{
	AUTO_FREE char *path = NULL;
	AUTO_DIR DIR *dir = NULL;
	const struct dirent *entry;
	int rc = 0;

	if (asprintf(&path, "%s/%s", walk->dir, folder) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	dir = opendir(path);
	if (!dir) {
		report_warning(walk->report, "%s: left out: %m", path);
		return 0;
	}
	while (rc == 0 && (entry = readdir(dir)))
		rc = add_entry(walk, dirfd(dir), folder, entry->d_name);
	return rc;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int donor_list(const char *dir, struct arena *arena, struct donor_files *files,
	       struct report *report)
{
	struct walk walk = {
		.dir = dir, .arena = arena, .report = report, .files = files
	};
	int rc = 0;

	files->count = 0;
	files->paths =
		arena_alloc(arena, SIDECAR_FILES_MAX, sizeof(*files->paths));
	walk.folders = arena_alloc(arena, FOLDERS_MAX, sizeof(*walk.folders));
	if (!files->paths || !walk.folders)
		return -ENOMEM;
	walk.folders[walk.folders_count++] = "";
	while (rc == 0 && walk.folders_done < walk.folders_count)
		rc = read_folder(&walk, walk.folders[walk.folders_done++]);
	qsort(files->paths, files->count, sizeof(*files->paths), by_path);
	return rc;
}
