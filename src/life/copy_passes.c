/* SPDX-License-Identifier: MIT */
/*
 * A pass copies what the newest state names. What a writer overwrites under its hands fails its
 * checksum, and is left for the next one. The last pass is made behind the gate: there nothing is
 * done but to look at what there is and to read it; it is written to the copy when writers may go
 * on.
 */
#include "life/copy_passes.h"

#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"
#include "os/gate.h"
#include "os/grow.h"
#include "pager/pager.h"

/* Bytes that are few enough to be read while a writer waits, */
#define REST_MOST (UINT64_C(4) << 20)
/* … and so few that one more pass would be none the better. */
#define REST_LITTLE (UINT64_C(64) << 10)
/* Passes in a row without the gate, however much is left. */
#define MOST_PASSES 8
/* How often the gate is tried. */
#define MOST_ROUNDS 50
/* … and after how many tries all regular pages are copied anew. */
#define BEGIN_AGAIN 5
/* Milliseconds until a writer at work is taken to have none of its marks left. */
#define MOST_WAITS 1000

/* ---- the gate ---- */

bool mpgi_copy_close_gate(const struct copy_passes *passes, uint64_t *closed)
{
    bool gate = mpgi_gate_close(&passes->source->file);

    *closed = now();
    return gate;
}

void mpgi_copy_open_gate(struct copy_passes *passes, uint64_t closed)
{
    mpgi_gate_open(&passes->source->file);
    passes->held = max_u64(passes->held, now() - closed);
}

/* ---- a pass ---- */

/*
 * The newest state of the file, with what of it was copied. STALE where it was overtaken.
 * *advanced: its entries are in p->state, where those that changed since are now as they are in it;
 * that takes less time.
 */
static int look_at_newest(struct copy_passes *p, struct copy_state *state, bool *advanced)
{
    const mpg_pager *source = p->source;
    mpg_error_info error;
    int result = mpg_refresh(source);

    if (result != 0)
        return result;
    pager_lock(source);
    result = mpgi_copy_state_advance(state, &p->state, &p->changes, source->format);
    *advanced = result != COPY_LOOK_AT_ALL;
    if (!*advanced)
        result = mpgi_copy_state_read(state, source->format);
    if (result != 0) {
        result = mpgi_explain_damage(source, result);
        (void)mpg_last_error(&error);
        mpgi_copy_state_free(state);
        (void)mpgi_fail_again(&error);
    }
    pager_unlock(source);
    if (result == 0 && !*advanced)
        mpgi_copy_state_carry(state, &p->state);
    return result;
}

/* Bytes that are to be copied of what was looked at. */
static uint64_t rest_of(const struct copy_passes *p, const struct copy_state *state, bool advanced)
{
    uint32_t page_size = p->content.page_size;
    uint64_t rest = mpgi_copy_rest(state, &p->state, page_size);

    return advanced ? rest + p->changes.count * page_size : rest;
}

int mpgi_copy_redo(struct copy_passes *passes, const struct format *format)
{
    const struct format_redo *redo = &format->redo;
    int result = 0;

    for (size_t i = 0; i < redo->count && result == 0; i++)
        result = mpgi_copy_put(&passes->content, redo->contents + i * format->page_size,
                               format->page_size, redo->pages[i] * format->page_size);
    return result;
}

static int fail_content(const struct copy_passes *p, const struct copy_entry *entry)
{
    return mpgi_fail(MPG_E_CORRUPT_PAGE, "copy", entry->id,
                     "%s: protected page %llu does not match its checksum", p->source->file.path,
                     (unsigned long long)entry->id);
}

static int copy_entries(struct copy_passes *p, struct copy_state *state, bool advanced, bool all)
{
    const struct copy_entry *failed = NULL;
    size_t failures = 0;
    int result = advanced ? mpgi_copy_changed(&p->content, state, &p->changes, &failures, &failed)
                          : mpgi_copy_entries(&p->content, state, &failures, &failed);

    return result == 0 && all && failures > 0 ? fail_content(p, failed) : result;
}

/*
 * What contents that are not as the state says mean: damage, or that another state or file is there
 * by now.
 */
static int explain(const struct copy_passes *p, int result)
{
    pager_lock(p->source);
    result = mpgi_explain_damage(p->source, result);
    pager_unlock(p->source);
    return result;
}

/* Copies what `state` names, which is what is there then. `all`: a content that fails is damage. */
static int copy_state(struct copy_passes *p, struct copy_state *state, bool advanced, bool all)
{
    int result = mpgi_copy_runs(&p->content, state, &p->state);

    if (advanced)
        mpgi_copy_state_take(state, &p->state);
    if (result == 0)
        result = mpgi_copy_redo(p, p->source->format);
    if (result == 0)
        result = copy_entries(p, state, advanced, all);
    result = explain(p, result);
    p->count++;
    mpgi_copy_state_free(&p->state);
    p->state = *state;
    if (advanced)
        mpgi_copy_changes_settle(&p->changes, state);
    else if (mpgi_copy_changes_begin(&p->changes, state) != 0)
        return MPG_E_NO_MEMORY; /* what is left is not known then, whatever the result was */
    return result;
}

/* The copy is as long as the file that it shows. */
static int make_long_enough(struct copy_passes *p, uint64_t pages)
{
    struct file *file = p->content.to;
    uint64_t bytes = pages * p->content.page_size;

    return bytes > file->bytes ? mpgi_file_grow(file, bytes) : 0;
}

/*
 * A pass beside the writer, unless what is left is so little that it can be read while the writer
 * waits: *enough. *rest: bytes that are to be copied; UINT64_MAX before the first pass.
 */
static int pass(struct copy_passes *p, uint64_t *rest, bool *enough)
{
    uint64_t before = *rest;
    struct copy_state state;
    bool advanced, as_much;
    int result = look_at_newest(p, &state, &advanced);

    *rest = UINT64_MAX;
    if (result != 0)
        return result == MPG_E_STALE ? 0 : result;
    if (!p->begun)
        p->generation = state.generation;
    p->begun = true;
    *rest = rest_of(p, &state, advanced);
    p->content.expected = p->content.bytes + *rest;
    as_much = *rest > before / 2; /* as there was: the writer is as fast as the copy */
    *enough = before != UINT64_MAX && (*rest <= REST_LITTLE || (*rest <= REST_MOST && as_much));
    p->content.hurried |= as_much && !*enough;
    result = *enough ? 0 : make_long_enough(p, state.total);
    if (result == 0 && !*enough)
        return copy_state(p, &state, advanced, false);
    mpgi_copy_state_free(&state);
    return result;
}

/* ---- regular pages, which no checksum tells from what somebody else had there before ---- */

static void forget_runs(struct copy_passes *p)
{
    p->state.run_count = 0;
    p->state.regular = 0;
    p->begun = false;
    p->session = mpgi_gate_session(&p->source->file);
}

/*
 * So many marks that it is better to begin again: they go once a writer sees that no copy is being
 * made.
 */
static void begin_again(struct copy_passes *p)
{
    const struct file *file = &p->source->file;
    uint64_t first = 0, end;

    mpgi_gate_end_copy(file, p->set);
    for (unsigned i = 0; i < MOST_WAITS && mpgi_gate_find_mark(file, p->set, &first, &end); i++) {
        (void)usleep(1000);
        first = 0;
    }
    mpgi_gate_begin_copy(file, p->set);
    forget_runs(p);
}

/*
 * Forgets what was copied of pages that were given out again since. STALE where nobody can tell
 * which those are: another writer came, or one that does not take turns.
 */
static int forget_marked(struct copy_passes *p)
{
    const struct file *file = &p->source->file;
    struct page_spans marked = {0};
    uint64_t first = 0, end;
    int result;

    if (p->session == 0 || mpgi_gate_session(file) != p->session) {
        forget_runs(p);
        return mpgi_fail(MPG_E_STALE, "copy", MPG_NO_PAGE,
                         "%s: others write to it, one after the other, or without taking turns",
                         file->path);
    }
    for (; mpgi_gate_find_mark(file, p->set, &first, &end); first = end)
        mpgi_spans_add(&marked, first, end - first);
    result = mpgi_copy_state_forget(&p->state, &marked);
    if (marked.all)
        forget_runs(p);
    mpgi_spans_free(&marked);
    return result;
}

/*
 * Forgets what is marked by now, and has what comes marked apart from that: after a long pass there
 * may be many marks, and more with each one, if the last pass had to look at all of them.
 */
static int turn_to_other_marks(struct copy_passes *p)
{
    const struct file *file = &p->source->file;
    unsigned set = p->set;
    uint64_t first = 0, end;
    int result;

    /* Nobody marks anything, or there are marks of before, or of another copy's. */
    if (p->session == 0 || mpgi_gate_find_mark(file, !set, &first, &end))
        return 0;
    mpgi_gate_begin_copy(file, !set); /* each commit that comes marks there, too */
    result = forget_marked(p);
    mpgi_gate_end_copy(file, set);
    p->set = !set;
    return result;
}

/* ---- passes beside the writer ---- */

/*
 * Each takes as long as what there was to copy, and leaves what was committed meanwhile: so it
 * becomes less, down to a commit.
 */
static int passes_beside(struct copy_passes *p)
{
    uint64_t rest = UINT64_MAX;
    bool enough = false;
    int result = 0;

    for (unsigned i = 0; i < MOST_PASSES && result == 0 && !enough; i++) {
        if (i > 0 && rest > REST_MOST && turn_to_other_marks(p) != 0)
            forget_runs(p);
        result = pass(p, &rest, &enough);
    }
    return result;
}

/* ---- the last pass ---- */

/* STALE where the file moved on meanwhile. */
static int check_current(struct copy_passes *p, int result)
{
    mpg_error_info error;
    bool current = false;

    if (result != 0 && !mpg_is_damage(result))
        return result;
    (void)mpg_last_error(&error);
    if (mpgi_is_current(&current, p->source) != 0 || !current)
        return mpgi_fail(MPG_E_STALE, "copy", MPG_NO_PAGE,
                         "%s: it is written so fast that no state of it could be copied",
                         p->source->file.path);
    return result != 0 ? mpgi_fail_again(&error) : 0;
}

/* Reads what is left. STALE: there was too much, or the file moved on all the same. */
static int read_rest(struct copy_passes *p)
{
    struct copy_state state;
    bool advanced;
    int result = look_at_newest(p, &state, &advanced);

    if (result != 0)
        return result;
    if (p->state.regular > 0 && state.generation != p->generation)
        result = forget_marked(p);
    if (result == 0 && rest_of(p, &state, advanced) > REST_MOST)
        result = mpgi_fail(MPG_E_STALE, "copy", MPG_NO_PAGE,
                           "%s: more is written to it than can be copied", p->source->file.path);
    if (result != 0) {
        mpgi_copy_state_free(&state);
        return result;
    }
    result = copy_state(p, &state, advanced, true);
    return check_current(p, result);
}

/* What was read is in the copy afterwards, whether it is all or not: it counts as copied. */
static int write_rest(struct copy_passes *p, int result)
{
    mpg_error_info error;
    int written = 0;

    (void)mpg_last_error(&error);
    if (result == 0 || result == MPG_E_STALE)
        written = make_long_enough(p, p->state.total);
    if (written == 0)
        written = mpgi_copy_write_kept(&p->content, result == 0 || result == MPG_E_STALE);
    if (written != 0 || result == 0)
        return written;
    return mpgi_fail_again(&error);
}

static int last_pass(struct copy_passes *p)
{
    uint64_t closed;
    bool gate;
    int result = mpgi_copy_keep(&p->content, REST_MOST);

    if (result != 0)
        return result;
    gate = mpgi_copy_close_gate(p, &closed);
    result = read_rest(p);
    if (gate)
        mpgi_copy_open_gate(p, closed);
    return write_rest(p, result);
}

/* ---- all of them ---- */

static int copy_all(struct copy_passes *p)
{
    int result = MPG_E_STALE;

    for (unsigned round = 0; round < MOST_ROUNDS && result == MPG_E_STALE; round++) {
        if (round % BEGIN_AGAIN == BEGIN_AGAIN - 1)
            begin_again(p);
        result = passes_beside(p);
        if (result == 0)
            result = last_pass(p);
    }
    return result;
}

int mpgi_copy_passes(struct copy_passes *passes)
{
    const struct file *file = &passes->source->file;
    int result;

    mpgi_gate_begin_copy(file, passes->set);
    forget_runs(passes);
    if (passes->session != 0)
        mpgi_copy_pace(&passes->content);
    result = copy_all(passes);
    mpgi_gate_end_copy(file, passes->set);
    return result;
}

void mpgi_copy_passes_free(struct copy_passes *passes)
{
    mpgi_copy_state_free(&passes->state);
    mpgi_copy_changes_free(&passes->changes);
}
