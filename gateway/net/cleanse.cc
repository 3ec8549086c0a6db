// OpenSSL's own wipe, replaced for the whole process: the dynamic linker takes the program's definition first.
//
// With SSL_OP_CLEANSE_PLAINTEXT libssl wipes a whole record buffer, 16 KiB, each time it gives one back, and its
// OPENSSL_cleanse does that eight bytes at a time. libcrypto's inner calls may keep their own; both wipe.
#include <openssl/crypto.h>

#include "base/bytes.h"

extern "C" void OPENSSL_cleanse(void* data, std::size_t size_bytes) { sluice::wipe(data, size_bytes); }
