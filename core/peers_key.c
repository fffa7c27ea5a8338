/*
 * The keys of core/merge.h. Where a state is of the whole model, its key is the
 * hash of those that its peers would have alone, and a tensor's key holds it,
 * beside what is of the tensor alone.
 */
#include "core/job_key.h"
#include "core/key_text.h"
#include "core/peers.h"

static int key_of_all(const struct job_peers *peers, bool likeness,
		      struct hash128 *key, struct error *err)
{
	const struct key_kind kind = { KEY_STATE, likeness };
	AUTO_KEY_TEXT struct key_text text;
	int rc;

	key_text_init(&text);
	key_text_add(&text, "whole model\n");
	for (size_t i = 0; i < peers->count; i++) {
		struct hash128 of_one;

		rc = job_key(peers->jobs[i], kind, &of_one, err);
		if (rc)
			return rc;
		key_text_hash128(&text, of_one);
		key_text_add(&text, "\n");
	}
	rc = key_text_hash(&text, key);
	return rc ? fail(err, -rc, "no memory for the key of a model") : 0;
}

static int state_key(const struct job *job, bool likeness, struct hash128 *key,
		     struct error *err)
{
	struct job_peers *peers = job->peers;
	struct peers_key *which;
	int rc;

	if (!peers)
		return job_key(job, (struct key_kind){ KEY_STATE, likeness },
			       key, err);
	which = likeness ? &peers->likeness : &peers->identity;
	if (peers_key_get(peers, which, key))
		return 0;
	/* Two threads may both work it out, to the same value. */
	rc = key_of_all(peers, likeness, key, err);
	if (rc == 0)
		peers_key_set(peers, which, *key);
	return rc;
}

static int tensor_key(const struct job *job, bool likeness, struct hash128 *key,
		      struct error *err)
{
	const struct key_kind kind = { KEY_TENSOR, likeness };
	struct hash128 parts[2];
	int rc = job_key(job, kind, key, err);

	if (rc || !job->peers)
		return rc;
	parts[0] = *key;
	rc = state_key(job, likeness, &parts[1], err);
	if (rc == 0)
		*key = hash_bytes(parts, sizeof(parts));
	return rc;
}

int merge_survey_key(const struct job *job, struct hash128 *key,
		     struct error *err)
{
	return job_key(job, (struct key_kind){ KEY_SURVEY, false }, key, err);
}

int merge_state_key(const struct job *job, struct hash128 *key,
		    struct error *err)
{
	return state_key(job, false, key, err);
}

int merge_tensor_key(const struct job *job, struct hash128 *key,
		     struct error *err)
{
	return tensor_key(job, false, key, err);
}

int merge_state_likeness(const struct job *job, struct hash128 *likeness)
{
	return state_key(job, true, likeness, NULL);
}

int merge_tensor_likeness(const struct job *job, struct hash128 *likeness)
{
	return tensor_key(job, true, likeness, NULL);
}
