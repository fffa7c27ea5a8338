#include "fs/ops_inside.h"

struct handle *handle_open(struct mount *mount, const struct node *node)
{
	struct handle *handle = calloc(1, sizeof(*handle));

	if (!handle)
		return NULL;
	handle->node = node;
	handle->kept = -1;
	pthread_mutex_init(&handle->lock, NULL);
	pthread_mutex_lock(&mount->handles_lock);
	handle->after = mount->handles;
	if (handle->after)
		handle->after->before = handle;
	mount->handles = handle;
	pthread_mutex_unlock(&mount->handles_lock);
	return handle;
}

static void take_out(struct mount *mount, struct handle *handle)
{
	pthread_mutex_lock(&mount->handles_lock);
	if (handle->before)
		handle->before->after = handle->after;
	else
		mount->handles = handle->after;
	if (handle->after)
		handle->after->before = handle->before;
	pthread_mutex_unlock(&mount->handles_lock);
}

void handle_close(struct mount *mount, struct handle *handle)
{
	take_out(mount, handle);
	if (handle->passed)
		passthrough_end(mount->passthrough, handle->passed);
	if (handle->kept >= 0)
		close(handle->kept);
	access_end(handle->access);
	if (handle->conversation)
		conversation_close(handle->conversation);
	pthread_mutex_destroy(&handle->lock);
	free(handle->entries);
	free(handle->text);
	free(handle);
}

void handle_close_all(struct mount *mount)
{
	while (mount->handles)
		handle_close(mount, mount->handles);
}
