/* SPDX-License-Identifier: MIT */
/* What hands out pages and parts, behind one interface. */
#include "base/error.h"
#include "mappedpages_allocator.h"

#include <stdlib.h>

/* ---- Regular pages -------------------------------------------------------------------------- */

static size_t regular_unit_size(void *context)
{
    return mpg_page_size(context);
}

static int regular_alloc(mpg_unit_id *id, void *context)
{
    mpg_page_id page;
    int code = mpg_alloc(&page, context, 0);

    if (code == 0)
        id->value = page.value;
    return code;
}

static int regular_free(void *context, mpg_unit_id id)
{
    mpg_page_id page = {id.value};

    return mpg_free(context, page);
}

static int regular_alloc_bulk(mpg_unit_id *ids, void *context, size_t count)
{
    if (count == 0)
        return 0;
    mpg_page_id *pages = calloc(count, sizeof(*pages));
    if (pages == NULL)
        return mpgi_fail_memory("alloc_bulk");
    int code = mpg_alloc_bulk(pages, context, count, 0);

    for (size_t i = 0; code == 0 && i < count; i++)
        ids[i].value = pages[i].value;
    free(pages);
    return code;
}

static int regular_free_bulk(void *context, const mpg_unit_id *ids, size_t count)
{
    if (count == 0)
        return 0;
    mpg_page_id *pages = calloc(count, sizeof(*pages));
    if (pages == NULL)
        return mpgi_fail_memory("free_bulk");
    for (size_t i = 0; i < count; i++)
        pages[i].value = ids[i].value;
    int code = mpg_free_bulk(context, pages, count);
    free(pages);
    return code;
}

static int regular_get(mpg_unit_view *view, void *context, mpg_unit_id id)
{
    mpg_page_id page = {id.value};
    const void *data;
    int code = mpg_page_get(&data, context, page);

    if (code == 0)
        *view = (mpg_unit_view){data, NULL};
    return code;
}

static void regular_put(void *context, mpg_unit_view *view)
{
    (void)context;
    view->data = NULL;
}

static int regular_get_mut(mpg_unit_edit *edit, void *context, mpg_unit_id id)
{
    mpg_page_id page = {id.value};
    void *data;
    int code = mpg_page_get_mut(&data, context, page);

    if (code == 0)
        *edit = (mpg_unit_edit){data, id, NULL};
    return code;
}

static int regular_commit(void *context, mpg_unit_edit *edit)
{
    mpg_page_id page = {edit->id.value};
    int code = mpg_page_sync(context, page);

    if (code == 0)
        edit->data = NULL;
    return code;
}

static void regular_discard(void *context, mpg_unit_edit *edit)
{
    (void)context;
    edit->data = NULL;
}

static const mpg_allocator_ops regular_ops = {
    .unit_size = regular_unit_size,
    .alloc = regular_alloc,
    .free = regular_free,
    .alloc_bulk = regular_alloc_bulk,
    .free_bulk = regular_free_bulk,
    .get = regular_get,
    .put = regular_put,
    .get_mut = regular_get_mut,
    .commit = regular_commit,
    .discard = regular_discard,
    .atomic = false,
};

mpg_allocator mpg_regular_allocator(mpg_pager *pager)
{
    return (mpg_allocator){&regular_ops, pager};
}

/* ---- Protected pages ------------------------------------------------------------------------ */

static int protected_alloc(mpg_unit_id *id, void *context)
{
    mpg_protected_id page;
    int code = mpg_alloc_protected(&page, context);

    if (code == 0)
        id->value = page.value;
    return code;
}

static int protected_free(void *context, mpg_unit_id id)
{
    mpg_protected_id page = {id.value};

    return mpg_free_protected(context, page);
}

static int protected_alloc_bulk(mpg_unit_id *ids, void *context, size_t count)
{
    if (count == 0)
        return 0;
    mpg_protected_id *pages = calloc(count, sizeof(*pages));
    if (pages == NULL)
        return mpgi_fail_memory("alloc_protected_bulk");
    int code = mpg_alloc_protected_bulk(pages, context, count);

    for (size_t i = 0; code == 0 && i < count; i++)
        ids[i].value = pages[i].value;
    free(pages);
    return code;
}

static int protected_free_bulk(void *context, const mpg_unit_id *ids, size_t count)
{
    if (count == 0)
        return 0;
    mpg_protected_id *pages = calloc(count, sizeof(*pages));
    if (pages == NULL)
        return mpgi_fail_memory("free_protected_bulk");
    for (size_t i = 0; i < count; i++)
        pages[i].value = ids[i].value;
    int code = mpg_free_protected_bulk(context, pages, count);
    free(pages);
    return code;
}

static int protected_get(mpg_unit_view *view, void *context, mpg_unit_id id)
{
    mpg_protected_id page = {id.value};
    const void *data;
    int code = mpg_protected_view(&data, context, page);

    if (code == 0)
        *view = (mpg_unit_view){data, NULL};
    return code;
}

static void protected_put(void *context, mpg_unit_view *view)
{
    mpg_protected_release(context, view->data);
    view->data = NULL;
}

static int protected_get_mut(mpg_unit_edit *edit, void *context, mpg_unit_id id)
{
    mpg_protected_id page = {id.value};
    mpg_writer *writer;
    int code = mpg_writer_open(&writer, context, page);

    if (code == 0)
        *edit = (mpg_unit_edit){mpg_writer_data(writer), id, writer};
    return code;
}

static int protected_commit(void *context, mpg_unit_edit *edit)
{
    int code = mpg_writer_commit(edit->own);

    (void)context;
    if (code == 0)
        *edit = (mpg_unit_edit){NULL, edit->id, NULL};
    return code;
}

static void protected_discard(void *context, mpg_unit_edit *edit)
{
    (void)context;
    mpg_writer_discard(edit->own);
    *edit = (mpg_unit_edit){NULL, edit->id, NULL};
}

static const mpg_allocator_ops protected_ops = {
    .unit_size = regular_unit_size,
    .alloc = protected_alloc,
    .free = protected_free,
    .alloc_bulk = protected_alloc_bulk,
    .free_bulk = protected_free_bulk,
    .get = protected_get,
    .put = protected_put,
    .get_mut = protected_get_mut,
    .commit = protected_commit,
    .discard = protected_discard,
    .atomic = true,
};

mpg_allocator mpg_protected_allocator(mpg_pager *pager)
{
    return (mpg_allocator){&protected_ops, pager};
}

/* ---- Parts ---------------------------------------------------------------------------------- */

static size_t sub_unit_size(void *context)
{
    return mpg_sub_part_size(context);
}

static int sub_alloc(mpg_unit_id *id, void *context)
{
    mpg_sub_id part;
    int code = mpg_sub_alloc(&part, context);

    if (code == 0)
        id->value = part.value;
    return code;
}

static int sub_free(void *context, mpg_unit_id id)
{
    mpg_sub_id part = {id.value};

    return mpg_sub_free(context, part);
}

static int sub_alloc_bulk(mpg_unit_id *ids, void *context, size_t count)
{
    if (count == 0)
        return 0;
    mpg_sub_id *parts = calloc(count, sizeof(*parts));
    if (parts == NULL)
        return mpgi_fail_memory("sub_alloc");
    int code = mpg_sub_alloc_bulk(parts, context, count);

    for (size_t i = 0; code == 0 && i < count; i++)
        ids[i].value = parts[i].value;
    free(parts);
    return code;
}

static int sub_free_bulk(void *context, const mpg_unit_id *ids, size_t count)
{
    if (count == 0)
        return 0;
    mpg_sub_id *parts = calloc(count, sizeof(*parts));
    if (parts == NULL)
        return mpgi_fail_memory("sub_free");
    for (size_t i = 0; i < count; i++)
        parts[i].value = ids[i].value;
    int code = mpg_sub_free_bulk(context, parts, count);
    free(parts);
    return code;
}

static int sub_get(mpg_unit_view *view, void *context, mpg_unit_id id)
{
    mpg_sub_id part = {id.value};
    const void *data;
    int code = mpg_sub_get(&data, context, part);

    if (code == 0)
        *view = (mpg_unit_view){data, NULL};
    return code;
}

static int sub_get_mut(mpg_unit_edit *edit, void *context, mpg_unit_id id)
{
    mpg_sub_id part = {id.value};
    void *data;
    int code = mpg_sub_get_mut(&data, context, part);

    if (code == 0)
        *edit = (mpg_unit_edit){data, id, NULL};
    return code;
}

static int sub_commit(void *context, mpg_unit_edit *edit)
{
    mpg_sub_id part = {edit->id.value};
    int code = mpg_page_sync(mpg_sub_pager(context), mpg_sub_page(part));

    if (code == 0)
        edit->data = NULL;
    return code;
}

static const mpg_allocator_ops sub_ops = {
    .unit_size = sub_unit_size,
    .alloc = sub_alloc,
    .free = sub_free,
    .alloc_bulk = sub_alloc_bulk,
    .free_bulk = sub_free_bulk,
    .get = sub_get,
    .put = regular_put,
    .get_mut = sub_get_mut,
    .commit = sub_commit,
    .discard = regular_discard,
    .atomic = false,
};

mpg_allocator mpg_sub_allocator(mpg_sub *sub)
{
    return (mpg_allocator){&sub_ops, sub};
}
