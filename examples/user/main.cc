/* SPDX-License-Identifier: MIT */
/* A program of somebody else's that finds the library through pkg-config: here in C++. */
#include <mappedpages.h>

#include <cstdio>

int main()
{
    mpg_options options = MPG_OPTIONS_INIT;
    mpg_error_info error;
    mpg_pager *pager;
    mpg_page_id page;

    if (mpg_create(&pager, "user.mpp", &options) != 0 || mpg_alloc(&page, pager, 0) != 0 ||
        mpg_close(pager) != 0) {
        mpg_last_error(&error);
        std::fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    std::printf("allocated page %llu\n", static_cast<unsigned long long>(page.value));
    return 0;
}
