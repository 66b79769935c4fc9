/* SPDX-License-Identifier: MIT */
/* Writes one JSON object to a stream as it comes, so that a long list needs no memory. */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json {
    FILE *out;
    unsigned depth; /* how many brackets are open */
    bool empty;     /* nothing yet inside the innermost one */
    bool line;      /* all of it is one line */
};

/* The outermost object. After json_end the text is whole and ends with a newline. */
void json_begin(struct json *json, FILE *out);
void json_end(struct json *json);
/* As json_begin, for an object that takes one line. */
void json_begin_line(struct json *json, FILE *out);

/* An object ('{' … '}') or an array ('[' … ']'). `key` is NULL inside an array, here and below. */
void json_open(struct json *json, const char *key, char bracket);
void json_close(struct json *json, char bracket);

/* Text of unknown encoding: what is not UTF-8 becomes U+FFFD. */
void json_string(struct json *json, const char *key, const char *text);
void json_number(struct json *json, const char *key, uint64_t number);
void json_boolean(struct json *json, const char *key, bool value);

/* Bytes, in base64 (RFC 4648). */
void json_base64(struct json *json, const char *key, const void *data, size_t length);

/* A CRC32 as a string of eight hexadecimal digits. */
void json_crc(struct json *json, const char *key, uint32_t crc);

#endif
