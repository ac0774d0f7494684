// Of mbedTLS, SHA-256 and AES in C, encryption only; the rest of MicroPython's boards use the same.
#define MBEDTLS_AES_C
#define MBEDTLS_CIPHER_MODE_CBC
#define MBEDTLS_AES_ROM_TABLES
#define MBEDTLS_SHA256_C
#define MBEDTLS_PLATFORM_C
