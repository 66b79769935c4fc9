/* SPDX-License-Identifier: MIT */
#include "pager/settle.h"

#include "base/rules.h"
#include "pager/look_again.h"

static int settle(mpg_pager *pager)
{
    return pager->format->ops->settle(pager->format);
}

int mpgi_settle_found(mpg_pager *pager)
{
    int result;

    /* Rule 12: what was found is written again; over newer work of somebody else it must not be. */
    if (pager->file.sharing.lock_is_local) {
        result = mpgi_look_again(pager);
        if (result != 0)
            return result;
    }
    result = settle(pager);
    pager->unsettled = result == MPG_E_NO_SPACE && RULE_HOLDS(13);
    return pager->unsettled ? 0 : result;
}

int mpgi_settle_late(mpg_pager *pager)
{
    int result;

    if (!pager->unsettled)
        return 0;
    result = mpgi_look_again(pager);
    if (result == 0)
        result = settle(pager);
    if (result == 0)
        pager->unsettled = false;
    else
        pager->unavailable |= result != MPG_E_NO_SPACE;
    return result;
}
