/* SPDX-License-Identifier: MIT */
/*
 * Page sizes known to the compiler.
 *
 *     MPG_DEFINE_PAGER(blk, 4096);
 *
 * defines types and inline functions for files with pages of 4096 bytes, on top of mappedpages.h:
 *
 *     blk_page          the content of a page: a struct of exactly 4096 bytes, `bytes`
 *     blk_page_id       names a regular page
 *     blk_protected_id  names a protected page
 *     blk_pager         a file open for writing
 *     blk_reader        a file open read-only
 *     blk_writer, blk_txn, blk_page_iter, blk_protected_iter, blk_snapshot, blk_snapshot_iter
 *
 * Each is a struct of its own, passed by value, around its untyped namesake, `untyped`. So, without
 * any compiler flag, these do not compile: an id of one page size where another is wanted, a
 * protected id for a page id, a change through a reader, a page size that is no power of two, under
 * 1024 or over 1 GiB. (Where a pointer is passed, to an array of ids or a blk_page, C asks for a
 * warning only; C++ refuses it.) The size is any integer constant expression.
 *
 * The functions are those of mappedpages.h and mappedpages_snapshot.h, with blk_ for mpg_, the same
 * order of arguments, the same results, errors, durability and thread safety; a `data` of page_size
 * bytes is a blk_page. What a reader can do is called blk_reader_…. New are:
 *
 *     blk_page_at(7), blk_protected_at(7)   the id of that number; its number is id.untyped.value
 *     blk_as_reader(pager)                  the same file for functions that only read
 *
 * What has no function here (mpg_check, the asynchronous requests, the generic allocators) takes
 * pager.untyped, and ids as id.untyped.
 *
 *     MPG_DEFINE_SUB_ALLOCATOR(rec, 4096, 512);
 *     MPG_DEFINE_SUB_ALLOCATOR_ON(rec, blk, 512);
 *
 * define rec_sub, rec_id and rec_part (a struct of 512 bytes, `bytes`) in the same way, for parts
 * of pages, on top of mappedpages_sub.h. A part that does not divide the page into 2 to 64 does not
 * compile. The first works on any mpg_pager and checks its page size when opened; the second is
 * opened on a blk_pager only.
 *
 * Works in C11 and in C++17. Write a semicolon after the macros.
 */
#ifndef MAPPEDPAGES_TYPED_H
#define MAPPEDPAGES_TYPED_H

#include "mappedpages.h"
#include "mappedpages_snapshot.h"
#include "mappedpages_sub.h"

#ifdef __cplusplus
#define MPG_STATIC_ASSERT_(condition, message) static_assert(condition, message)
#else
#define MPG_STATIC_ASSERT_(condition, message) _Static_assert(condition, message)
#endif

/* A function that its user may leave unused, and one whose result must be looked at as well. */
#if defined(__GNUC__)
#define MPG_INLINE_ __attribute__((unused)) static inline
#else
#define MPG_INLINE_ static inline
#endif
#define MPG_CHECKED_ MPG_MUST_CHECK MPG_INLINE_

/* A copy of *options (or the defaults, if NULL) that asks for this page size. */
MPG_INLINE_ mpg_options mpg_options_for_(const mpg_options *options, uint32_t page_size)
{
    mpg_options copy = MPG_OPTIONS_INIT;

    if (options != NULL)
        copy = *options;
    copy.page_size = page_size;
    return copy;
}

#define MPG_DEFINE_PAGER(name, size)                                                               \
    MPG_STATIC_ASSERT_((size) >= 1024, "a page has at least 1024 bytes");                          \
    MPG_STATIC_ASSERT_((size) <= (1 << 30), "a page has at most 1 GiB");                           \
    MPG_STATIC_ASSERT_(((size) & ((size)-1)) == 0, "a page size is a power of two");               \
    MPG_DEFINE_TYPES_(name, size)                                                                  \
    MPG_DEFINE_FILES_(name, size)                                                                  \
    MPG_DEFINE_READS_(name, name##_, name##_pager)                                                 \
    MPG_DEFINE_READS_(name, name##_reader_, name##_reader)                                         \
    MPG_DEFINE_REGULAR_(name)                                                                      \
    MPG_DEFINE_PROTECTED_(name)                                                                    \
    MPG_DEFINE_TXN_(name)                                                                          \
    MPG_DEFINE_SNAPSHOT_(name)                                                                     \
    MPG_STATIC_ASSERT_(sizeof(name##_page) == (size), "a page is nothing but its bytes")

#define MPG_DEFINE_TYPES_(name, size)                                                              \
    typedef struct name##_page {                                                                   \
        unsigned char bytes[size];                                                                 \
    } name##_page;                                                                                 \
    typedef struct name##_page_id {                                                                \
        mpg_page_id untyped;                                                                       \
    } name##_page_id;                                                                              \
    typedef struct name##_protected_id {                                                           \
        mpg_protected_id untyped;                                                                  \
    } name##_protected_id;                                                                         \
    typedef struct name##_pager {                                                                  \
        mpg_pager *untyped;                                                                        \
    } name##_pager;                                                                                \
    typedef struct name##_reader {                                                                 \
        const mpg_pager *untyped;                                                                  \
    } name##_reader;                                                                               \
    typedef struct name##_writer {                                                                 \
        mpg_writer *untyped;                                                                       \
    } name##_writer;                                                                               \
    typedef struct name##_txn {                                                                    \
        mpg_txn *untyped;                                                                          \
    } name##_txn;                                                                                  \
    typedef struct name##_snapshot {                                                               \
        mpg_snapshot *untyped;                                                                     \
    } name##_snapshot;                                                                             \
    typedef struct name##_snapshot_iter {                                                          \
        mpg_snapshot_iter untyped;                                                                 \
    } name##_snapshot_iter;                                                                        \
    typedef struct name##_page_iter {                                                              \
        mpg_page_iter untyped;                                                                     \
    } name##_page_iter;                                                                            \
    typedef struct name##_protected_iter {                                                         \
        mpg_protected_iter untyped;                                                                \
    } name##_protected_iter;                                                                       \
                                                                                                   \
    MPG_INLINE_ name##_page_id name##_page_at(uint64_t value)                                      \
    {                                                                                              \
        name##_page_id id = {{value}};                                                             \
        return id;                                                                                 \
    }                                                                                              \
    MPG_INLINE_ name##_protected_id name##_protected_at(uint64_t value)                            \
    {                                                                                              \
        name##_protected_id id = {{value}};                                                        \
        return id;                                                                                 \
    }

/* Create, open, close, sync. */
#define MPG_DEFINE_FILES_(name, size)                                                              \
    MPG_CHECKED_ int name##_create(name##_pager *pager, const char *path,                          \
                                   const mpg_options *options)                                     \
    {                                                                                              \
        mpg_options typed = mpg_options_for_(options, (uint32_t)(size));                           \
        return mpg_create(&pager->untyped, path, &typed);                                          \
    }                                                                                              \
    MPG_CHECKED_ int name##_open(name##_pager *pager, const char *path,                            \
                                 const mpg_options *options)                                       \
    {                                                                                              \
        mpg_options typed = mpg_options_for_(options, (uint32_t)(size));                           \
        return mpg_open(&pager->untyped, path, &typed);                                            \
    }                                                                                              \
    MPG_CHECKED_ int name##_open_readonly(name##_reader *reader, const char *path,                 \
                                          const mpg_options *options)                              \
    {                                                                                              \
        mpg_options typed = mpg_options_for_(options, (uint32_t)(size));                           \
        return mpg_open_readonly(&reader->untyped, path, &typed);                                  \
    }                                                                                              \
    MPG_INLINE_ name##_reader name##_as_reader(name##_pager pager)                                 \
    {                                                                                              \
        name##_reader reader = {pager.untyped};                                                    \
        return reader;                                                                             \
    }                                                                                              \
    MPG_CHECKED_ int name##_reader_refresh(name##_reader reader)                                   \
    {                                                                                              \
        return mpg_refresh(reader.untyped);                                                        \
    }                                                                                              \
    MPG_CHECKED_ int name##_sync(name##_pager pager)                                               \
    {                                                                                              \
        return mpg_sync(pager.untyped);                                                            \
    }

/* What a pager and a reader both can do: `prefix` begins the functions' names. */
#define MPG_DEFINE_READS_(name, prefix, handle)                                                    \
    MPG_INLINE_ int prefix##close(handle file)                                                     \
    {                                                                                              \
        return mpg_close(file.untyped);                                                            \
    }                                                                                              \
    MPG_CHECKED_ int prefix##stat(struct mpg_stat *st, handle file)                                \
    {                                                                                              \
        return mpg_stat(st, file.untyped);                                                         \
    }                                                                                              \
    MPG_INLINE_ size_t prefix##page_size(handle file)                                              \
    {                                                                                              \
        (void)file;                                                                                \
        return sizeof(name##_page);                                                                \
    }                                                                                              \
    MPG_CHECKED_ int prefix##page_get(const name##_page **page, handle file, name##_page_id id)    \
    {                                                                                              \
        const void *data;                                                                          \
        int code = mpg_page_get(&data, file.untyped, id.untyped);                                  \
        if (code == 0)                                                                             \
            *page = (const name##_page *)data;                                                     \
        return code;                                                                               \
    }                                                                                              \
    MPG_CHECKED_ int prefix##page_read(void *data, handle file, name##_page_id id, size_t offset,  \
                                       size_t length)                                              \
    {                                                                                              \
        return mpg_page_read(data, file.untyped, id.untyped, offset, length);                      \
    }                                                                                              \
    MPG_CHECKED_ int prefix##protected_read(name##_page *page, handle file,                        \
                                            name##_protected_id id)                                \
    {                                                                                              \
        return mpg_protected_read(page, file.untyped, id.untyped);                                 \
    }                                                                                              \
    MPG_CHECKED_ int prefix##protected_stat(mpg_protected_info *info, handle file,                 \
                                            name##_protected_id id)                                \
    {                                                                                              \
        return mpg_protected_stat(info, file.untyped, id.untyped);                                 \
    }                                                                                              \
    MPG_INLINE_ void prefix##page_iter_begin(name##_page_iter *iter, handle file,                  \
                                             name##_page_id from)                                  \
    {                                                                                              \
        mpg_page_iter_begin(&iter->untyped, file.untyped, from.untyped);                           \
    }                                                                                              \
    MPG_INLINE_ void prefix##protected_iter_begin(name##_protected_iter *iter, handle file,        \
                                                  name##_protected_id from)                        \
    {                                                                                              \
        mpg_protected_iter_begin(&iter->untyped, file.untyped, from.untyped);                      \
    }

/* Regular pages. An array of typed ids is one of untyped ids: nothing else is in them. */
#define MPG_DEFINE_REGULAR_(name)                                                                  \
    MPG_CHECKED_ int name##_alloc(name##_page_id *id, name##_pager pager, unsigned flags)          \
    {                                                                                              \
        return mpg_alloc(&id->untyped, pager.untyped, flags);                                      \
    }                                                                                              \
    MPG_CHECKED_ int name##_alloc_at(name##_pager pager, name##_page_id id, unsigned flags)        \
    {                                                                                              \
        return mpg_alloc_at(pager.untyped, id.untyped, flags);                                     \
    }                                                                                              \
    MPG_CHECKED_ int name##_free(name##_pager pager, name##_page_id id)                            \
    {                                                                                              \
        return mpg_free(pager.untyped, id.untyped);                                                \
    }                                                                                              \
    MPG_CHECKED_ int name##_alloc_bulk(name##_page_id *ids, name##_pager pager, size_t count,      \
                                       unsigned flags)                                             \
    {                                                                                              \
        return mpg_alloc_bulk((mpg_page_id *)(void *)ids, pager.untyped, count, flags);            \
    }                                                                                              \
    MPG_CHECKED_ int name##_free_bulk(name##_pager pager, const name##_page_id *ids, size_t count) \
    {                                                                                              \
        return mpg_free_bulk(pager.untyped, (const mpg_page_id *)(const void *)ids, count);        \
    }                                                                                              \
    MPG_CHECKED_ int name##_page_get_mut(name##_page **page, name##_pager pager,                   \
                                         name##_page_id id)                                        \
    {                                                                                              \
        void *data;                                                                                \
        int code = mpg_page_get_mut(&data, pager.untyped, id.untyped);                             \
        if (code == 0)                                                                             \
            *page = (name##_page *)data;                                                           \
        return code;                                                                               \
    }                                                                                              \
    MPG_CHECKED_ int name##_page_write(name##_pager pager, name##_page_id id, const void *data,    \
                                       size_t offset, size_t length)                               \
    {                                                                                              \
        return mpg_page_write(pager.untyped, id.untyped, data, offset, length);                    \
    }                                                                                              \
    MPG_CHECKED_ int name##_page_sync(name##_pager pager, name##_page_id id)                       \
    {                                                                                              \
        return mpg_page_sync(pager.untyped, id.untyped);                                           \
    }                                                                                              \
    MPG_CHECKED_ int name##_page_iter_next(name##_page_id *id, name##_page_iter *iter)             \
    {                                                                                              \
        return mpg_page_iter_next(&id->untyped, &iter->untyped);                                   \
    }

/* Protected pages, their views and writers. */
#define MPG_DEFINE_PROTECTED_(name)                                                                \
    MPG_CHECKED_ int name##_alloc_protected(name##_protected_id *id, name##_pager pager)           \
    {                                                                                              \
        return mpg_alloc_protected(&id->untyped, pager.untyped);                                   \
    }                                                                                              \
    MPG_CHECKED_ int name##_alloc_protected_at(name##_pager pager, name##_protected_id id)         \
    {                                                                                              \
        return mpg_alloc_protected_at(pager.untyped, id.untyped);                                  \
    }                                                                                              \
    MPG_CHECKED_ int name##_free_protected(name##_pager pager, name##_protected_id id)             \
    {                                                                                              \
        return mpg_free_protected(pager.untyped, id.untyped);                                      \
    }                                                                                              \
    MPG_CHECKED_ int name##_alloc_protected_bulk(name##_protected_id *ids, name##_pager pager,     \
                                                 size_t count)                                     \
    {                                                                                              \
        return mpg_alloc_protected_bulk((mpg_protected_id *)(void *)ids, pager.untyped, count);    \
    }                                                                                              \
    MPG_CHECKED_ int name##_free_protected_bulk(name##_pager pager,                                \
                                                const name##_protected_id *ids, size_t count)      \
    {                                                                                              \
        return mpg_free_protected_bulk(pager.untyped, (const mpg_protected_id *)(const void *)ids, \
                                       count);                                                     \
    }                                                                                              \
    MPG_CHECKED_ int name##_protected_view(const name##_page **page, name##_pager pager,           \
                                           name##_protected_id id)                                 \
    {                                                                                              \
        const void *data;                                                                          \
        int code = mpg_protected_view(&data, pager.untyped, id.untyped);                           \
        if (code == 0)                                                                             \
            *page = (const name##_page *)data;                                                     \
        return code;                                                                               \
    }                                                                                              \
    MPG_INLINE_ void name##_protected_release(name##_pager pager, const name##_page *page)         \
    {                                                                                              \
        mpg_protected_release(pager.untyped, page);                                                \
    }                                                                                              \
    MPG_CHECKED_ int name##_writer_open(name##_writer *writer, name##_pager pager,                 \
                                        name##_protected_id id)                                    \
    {                                                                                              \
        return mpg_writer_open(&writer->untyped, pager.untyped, id.untyped);                       \
    }                                                                                              \
    MPG_INLINE_ name##_page *name##_writer_data(name##_writer writer)                              \
    {                                                                                              \
        return (name##_page *)mpg_writer_data(writer.untyped);                                     \
    }                                                                                              \
    MPG_CHECKED_ int name##_writer_commit(name##_writer writer)                                    \
    {                                                                                              \
        return mpg_writer_commit(writer.untyped);                                                  \
    }                                                                                              \
    MPG_INLINE_ void name##_writer_discard(name##_writer writer)                                   \
    {                                                                                              \
        mpg_writer_discard(writer.untyped);                                                        \
    }                                                                                              \
    MPG_CHECKED_ int name##_protected_iter_next(name##_protected_id *id,                           \
                                                name##_protected_iter *iter)                       \
    {                                                                                              \
        return mpg_protected_iter_next(&id->untyped, &iter->untyped);                              \
    }

#define MPG_DEFINE_TXN_(name)                                                                      \
    MPG_CHECKED_ int name##_txn_begin(name##_txn *txn, name##_pager pager)                         \
    {                                                                                              \
        return mpg_txn_begin(&txn->untyped, pager.untyped);                                        \
    }                                                                                              \
    MPG_CHECKED_ int name##_txn_alloc(name##_page_id *id, name##_txn txn, unsigned flags)          \
    {                                                                                              \
        return mpg_txn_alloc(&id->untyped, txn.untyped, flags);                                    \
    }                                                                                              \
    MPG_CHECKED_ int name##_txn_alloc_at(name##_txn txn, name##_page_id id, unsigned flags)        \
    {                                                                                              \
        return mpg_txn_alloc_at(txn.untyped, id.untyped, flags);                                   \
    }                                                                                              \
    MPG_CHECKED_ int name##_txn_free(name##_txn txn, name##_page_id id)                            \
    {                                                                                              \
        return mpg_txn_free(txn.untyped, id.untyped);                                              \
    }                                                                                              \
    MPG_CHECKED_ int name##_txn_page_write(name##_txn txn, name##_page_id id, const void *data,    \
                                           size_t offset, size_t length)                           \
    {                                                                                              \
        return mpg_txn_page_write(txn.untyped, id.untyped, data, offset, length);                  \
    }                                                                                              \
    MPG_CHECKED_ int name##_txn_alloc_protected(name##_protected_id *id, name##_txn txn)           \
    {                                                                                              \
        return mpg_txn_alloc_protected(&id->untyped, txn.untyped);                                 \
    }                                                                                              \
    MPG_CHECKED_ int name##_txn_alloc_protected_at(name##_txn txn, name##_protected_id id)         \
    {                                                                                              \
        return mpg_txn_alloc_protected_at(txn.untyped, id.untyped);                                \
    }                                                                                              \
    MPG_CHECKED_ int name##_txn_free_protected(name##_txn txn, name##_protected_id id)             \
    {                                                                                              \
        return mpg_txn_free_protected(txn.untyped, id.untyped);                                    \
    }                                                                                              \
    MPG_CHECKED_ int name##_txn_protected_write(name##_txn txn, name##_protected_id id,            \
                                                const void *data, size_t offset, size_t length)    \
    {                                                                                              \
        return mpg_txn_protected_write(txn.untyped, id.untyped, data, offset, length);             \
    }                                                                                              \
    MPG_CHECKED_ int name##_txn_protected_read(name##_page *page, name##_txn txn,                  \
                                               name##_protected_id id)                             \
    {                                                                                              \
        return mpg_txn_protected_read(page, txn.untyped, id.untyped);                              \
    }                                                                                              \
    MPG_CHECKED_ int name##_txn_commit(name##_txn txn, unsigned flags)                             \
    {                                                                                              \
        return mpg_txn_commit(txn.untyped, flags);                                                 \
    }                                                                                              \
    MPG_INLINE_ void name##_txn_abort(name##_txn txn)                                              \
    {                                                                                              \
        mpg_txn_abort(txn.untyped);                                                                \
    }

#define MPG_DEFINE_SNAPSHOT_(name)                                                                 \
    MPG_CHECKED_ int name##_snapshot_open(name##_snapshot *snapshot, name##_pager pager)           \
    {                                                                                              \
        return mpg_snapshot_open(&snapshot->untyped, pager.untyped);                               \
    }                                                                                              \
    MPG_INLINE_ void name##_snapshot_close(name##_snapshot snapshot)                               \
    {                                                                                              \
        mpg_snapshot_close(snapshot.untyped);                                                      \
    }                                                                                              \
    MPG_INLINE_ void name##_snapshot_stat(mpg_snapshot_info *info, name##_snapshot snapshot)       \
    {                                                                                              \
        mpg_snapshot_stat(info, snapshot.untyped);                                                 \
    }                                                                                              \
    MPG_CHECKED_ int name##_snapshot_read(name##_page *page, name##_snapshot snapshot,             \
                                          name##_protected_id id)                                  \
    {                                                                                              \
        return mpg_snapshot_read(page, snapshot.untyped, id.untyped);                              \
    }                                                                                              \
    MPG_CHECKED_ int name##_snapshot_protected_stat(                                               \
        mpg_protected_info *info, name##_snapshot snapshot, name##_protected_id id)                \
    {                                                                                              \
        return mpg_snapshot_protected_stat(info, snapshot.untyped, id.untyped);                    \
    }                                                                                              \
    MPG_INLINE_ void name##_snapshot_iter_begin(                                                   \
        name##_snapshot_iter *iter, name##_snapshot snapshot, name##_protected_id from)            \
    {                                                                                              \
        mpg_snapshot_iter_begin(&iter->untyped, snapshot.untyped, from.untyped);                   \
    }                                                                                              \
    MPG_CHECKED_ int name##_snapshot_iter_next(name##_protected_id *id,                            \
                                               name##_snapshot_iter *iter)                         \
    {                                                                                              \
        return mpg_snapshot_iter_next(&id->untyped, &iter->untyped);                               \
    }

/* ---- Parts of pages ------------------------------------------------------------------------- */

/* On any mpg_pager. The pager's page size is checked by rec_open: INVALID_PAGE_SIZE. */
#define MPG_DEFINE_SUB_ALLOCATOR(name, page_size, part_size)                                       \
    MPG_DEFINE_SUB_TYPES_(name, page_size, part_size)                                              \
    MPG_CHECKED_ int name##_open(name##_sub *sub, mpg_pager *pager)                                \
    {                                                                                              \
        return mpg_sub_open_sized(&sub->untyped, pager, (size_t)(page_size), sizeof(name##_part)); \
    }                                                                                              \
    MPG_INLINE_ mpg_pager *name##_release(name##_sub sub)                                          \
    {                                                                                              \
        return mpg_sub_release(sub.untyped);                                                       \
    }                                                                                              \
    MPG_STATIC_ASSERT_(sizeof(name##_part) == (part_size), "a part is nothing but its bytes")

/* On the pagers that MPG_DEFINE_PAGER(pager_name, …) defined. */
#define MPG_DEFINE_SUB_ALLOCATOR_ON(name, pager_name, part_size)                                   \
    MPG_DEFINE_SUB_TYPES_(name, sizeof(pager_name##_page), part_size)                              \
    MPG_CHECKED_ int name##_open(name##_sub *sub, pager_name##_pager pager)                        \
    {                                                                                              \
        return mpg_sub_open(&sub->untyped, pager.untyped, sizeof(name##_part));                    \
    }                                                                                              \
    MPG_INLINE_ pager_name##_pager name##_release(name##_sub sub)                                  \
    {                                                                                              \
        pager_name##_pager pager = {mpg_sub_release(sub.untyped)};                                 \
        return pager;                                                                              \
    }                                                                                              \
    MPG_STATIC_ASSERT_(sizeof(name##_part) == (part_size), "a part is nothing but its bytes")

#define MPG_DEFINE_SUB_TYPES_(name, page_size, part_size)                                          \
    MPG_STATIC_ASSERT_((page_size) >= 1024 && (page_size) <= (1 << 30) &&                          \
                           ((page_size) & ((page_size)-1)) == 0,                                   \
                       "a page size is a power of two from 1024 to 2^30");                         \
    MPG_STATIC_ASSERT_((part_size) > 0 && (page_size) % (part_size) == 0,                          \
                       "parts divide a page without a rest");                                      \
    MPG_STATIC_ASSERT_((page_size) / (part_size) >= 2, "a page has at least 2 parts");             \
    MPG_STATIC_ASSERT_((page_size) / (part_size) <= 64, "a page has at most 64 parts");            \
    typedef struct name##_part {                                                                   \
        unsigned char bytes[part_size];                                                            \
    } name##_part;                                                                                 \
    typedef struct name##_id {                                                                     \
        mpg_sub_id untyped;                                                                        \
    } name##_id;                                                                                   \
    typedef struct name##_sub {                                                                    \
        mpg_sub *untyped;                                                                          \
    } name##_sub;                                                                                  \
                                                                                                   \
    MPG_INLINE_ name##_id name##_at(uint64_t value)                                                \
    {                                                                                              \
        name##_id id = {{value}};                                                                  \
        return id;                                                                                 \
    }                                                                                              \
    MPG_CHECKED_ int name##_adopt(name##_sub sub, const name##_id *ids, size_t count)              \
    {                                                                                              \
        return mpg_sub_adopt(sub.untyped, (const mpg_sub_id *)(const void *)ids, count);           \
    }                                                                                              \
    MPG_CHECKED_ int name##_alloc(name##_id *id, name##_sub sub)                                   \
    {                                                                                              \
        return mpg_sub_alloc(&id->untyped, sub.untyped);                                           \
    }                                                                                              \
    MPG_CHECKED_ int name##_free(name##_sub sub, name##_id id)                                     \
    {                                                                                              \
        return mpg_sub_free(sub.untyped, id.untyped);                                              \
    }                                                                                              \
    MPG_CHECKED_ int name##_alloc_bulk(name##_id *ids, name##_sub sub, size_t count)               \
    {                                                                                              \
        return mpg_sub_alloc_bulk((mpg_sub_id *)(void *)ids, sub.untyped, count);                  \
    }                                                                                              \
    MPG_CHECKED_ int name##_free_bulk(name##_sub sub, const name##_id *ids, size_t count)          \
    {                                                                                              \
        return mpg_sub_free_bulk(sub.untyped, (const mpg_sub_id *)(const void *)ids, count);       \
    }                                                                                              \
    MPG_CHECKED_ int name##_get(const name##_part **part, name##_sub sub, name##_id id)            \
    {                                                                                              \
        const void *data;                                                                          \
        int code = mpg_sub_get(&data, sub.untyped, id.untyped);                                    \
        if (code == 0)                                                                             \
            *part = (const name##_part *)data;                                                     \
        return code;                                                                               \
    }                                                                                              \
    MPG_CHECKED_ int name##_get_mut(name##_part **part, name##_sub sub, name##_id id)              \
    {                                                                                              \
        void *data;                                                                                \
        int code = mpg_sub_get_mut(&data, sub.untyped, id.untyped);                                \
        if (code == 0)                                                                             \
            *part = (name##_part *)data;                                                           \
        return code;                                                                               \
    }                                                                                              \
    MPG_INLINE_ size_t name##_part_size(name##_sub sub)                                            \
    {                                                                                              \
        (void)sub;                                                                                 \
        return sizeof(name##_part);                                                                \
    }

#endif
