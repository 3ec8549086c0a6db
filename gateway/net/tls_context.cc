#include "net/tls_context.h"

#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <span>

#include "absl/strings/str_cat.h"
#include "net/certificates.h"
#include "net/kept_session.h"
#include "net/tls_records.h"

namespace sluice::net {
namespace {

using BioPtr = std::unique_ptr<BIO, decltype([](BIO* bio) { BIO_free_all(bio); })>;
using CertificatePtr = std::unique_ptr<X509, decltype([](X509* x) { X509_free(x); })>;

std::string reason() {
  const unsigned long code = ERR_peek_last_error();
  const char* text = code == 0 ? nullptr : ERR_reason_error_string(code);
  ERR_clear_error();
  return text == nullptr ? "unknown error" : text;
}

// OpenSSL's own message for a missing file names a system call and no file.
absl::Status check_readable(const std::string& file, const char* what) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return absl::InvalidArgumentError(absl::StrCat("cannot read ", what, " ", file, ": ", std::strerror(errno)));
  ::close(fd);
  return absl::OkStatus();
}

int no_passphrase(char*, int, int, void*) { return -1; }

// Before OpenSSL takes the file: of a key that it finds too weak it does not say which keys are not.
absl::Status check_key_of(const std::string& certificate_file) {
  const BioPtr bio(BIO_new_file(certificate_file.c_str(), "r"));
  const CertificatePtr leaf(bio ? PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr) : nullptr);
  ERR_clear_error();
  return leaf ? check_key(X509_get0_pubkey(leaf.get()), certificate_file) : absl::OkStatus();
}

absl::Status use_key_pair(SSL_CTX* context, const std::string& certificate_file, const std::string& key_file) {
  if (auto s = check_readable(certificate_file, "certificate"); !s.ok()) return s;
  if (auto s = check_readable(key_file, "key"); !s.ok()) return s;
  if (auto s = check_key_of(certificate_file); !s.ok()) return s;
  SSL_CTX_set_default_passwd_cb(context, no_passphrase);
  ERR_clear_error();
  if (SSL_CTX_use_certificate_chain_file(context, certificate_file.c_str()) != 1) {
    return absl::InvalidArgumentError(absl::StrCat(certificate_file, " holds no usable certificate: ", reason()));
  }
  if (SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    if (ERR_GET_REASON(ERR_peek_error()) == X509_R_KEY_VALUES_MISMATCH) {
      ERR_clear_error();
      return absl::InvalidArgumentError(absl::StrCat(key_file, " is not the key of ", certificate_file));
    }
    return absl::InvalidArgumentError(
        absl::StrCat(key_file, " holds no usable key (a pass phrase is not supported): ", reason()));
  }
  if (SSL_CTX_check_private_key(context) != 1) {
    return absl::InvalidArgumentError(absl::StrCat(key_file, " is not the key of ", certificate_file));
  }
  return absl::OkStatus();
}

absl::Status trust_tunnel_ca(SSL_CTX* context, const std::string& pem) {
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  int count = 0;
  for (;; ++count) {
    const CertificatePtr ca(PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr));
    if (!ca) break;
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), ca.get());
    SSL_CTX_add_client_CA(context, ca.get());
  }
  ERR_clear_error();
  if (count == 0) return absl::InvalidArgumentError("the agents' CA holds no certificate");
  return absl::OkStatus();
}

// --- the server's callbacks ------------------------------------------------------------------------------------------

// What a server may speak behind TLS, preferred first; a listener may take less (server/front.h). Whoever must show a
// certificate is asked for it, and is served nowhere where no CA is known.
struct Protocol {
  enum class Peer : std::uint8_t { kAnyone, kCertified };
  std::string_view alpn;
  Peer peer;
};
constexpr Protocol kProtocols[] = {
    {kTunnelAlpn, Protocol::Peer::kCertified},
    {kHttp11Alpn, Protocol::Peer::kAnyone},
};

// A list of length-prefixed names (RFC 7301, 3.1).
bool list_has(std::span<const unsigned char> list, std::string_view name) noexcept {
  while (!list.empty()) {
    const std::size_t size = list[0];
    if (size == 0 || size >= list.size()) return false;
    if (size == name.size() && std::memcmp(list.data() + 1, name.data(), size) == 0) return true;
    list = list.subspan(1 + size);
  }
  return false;
}

// Whether the client offers a protocol whose peers show a certificate.
bool wants_certified(SSL* ssl) noexcept {
  const unsigned char* extension = nullptr;
  std::size_t size = 0;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &extension, &size) != 1)
    return false;
  if (size < 2) return false;
  const std::size_t listed = std::size_t{extension[0]} << 8 | extension[1];
  if (listed != size - 2) return false;
  return std::ranges::any_of(kProtocols, [&](const Protocol& protocol) {
    return protocol.peer == Protocol::Peer::kCertified && list_has({extension + 2, listed}, protocol.alpn);
  });
}

bool knows_a_ca(const SSL* ssl) noexcept {
  return sk_X509_NAME_num(SSL_CTX_get_client_CA_list(SSL_get_SSL_CTX(ssl))) > 0;
}

int on_client_hello(SSL* ssl, int*, void*) noexcept {
  if (knows_a_ca(ssl) && wants_certified(ssl)) {
    SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    SSL_set_num_tickets(ssl, 0);
    SSL_set_options(ssl, SSL_OP_NO_TICKET);  // and with no session cache nothing can be resumed
  }
  return SSL_CLIENT_HELLO_SUCCESS;
}

int select_alpn(SSL* ssl, const unsigned char** out, unsigned char* out_size, const unsigned char* in, unsigned in_size,
                void*) noexcept {
  const auto choose = [&](std::string_view name) {
    *out = reinterpret_cast<const unsigned char*>(name.data());
    *out_size = static_cast<unsigned char>(name.size());
    return SSL_TLSEXT_ERR_OK;
  };
  const std::span<const unsigned char> offered(in, in_size);
  for (const Protocol& protocol : kProtocols) {
    // Chosen wherever it was offered: the certificate has been asked for by then.
    const bool served = protocol.peer == Protocol::Peer::kAnyone || knows_a_ca(ssl);
    if (served && list_has(offered, protocol.alpn)) return choose(protocol.alpn);
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

int seal_or_open(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* digest,
                 int sealing) noexcept {
  auto* keys = static_cast<TicketKeys*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  TicketKeys::Key key;
  int answer = 1;
  if (sealing != 0) {
    if (!keys->seal_key(key, Mono::now()) || RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
      return -1;
    std::memcpy(name, key.name.data(), key.name.size());
  } else {
    const auto found = keys->open_key(std::span<const unsigned char, 16>(name, 16), key, Mono::now());
    if (found == TicketKeys::Found::kNo) return 0;
    answer = found == TicketKeys::Found::kCurrent ? 1 : 2;  // 2: give a new ticket
  }
  char hash[] = "SHA256";
  const std::array<OSSL_PARAM, 3> parameters{
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.digest.data(), key.digest.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, hash, 0), OSSL_PARAM_construct_end()};
  const bool set = EVP_MAC_CTX_set_params(digest, parameters.data()) == 1 &&
                   EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.cipher.data(), iv, sealing) == 1;
  OPENSSL_cleanse(&key, sizeof key);
  return set ? answer : -1;
}

std::shared_ptr<SSL_CTX> new_context(const SSL_METHOD* method) {
  return {SSL_CTX_new(method), [](SSL_CTX* context) { SSL_CTX_free(context); }};
}

// What both ends want. The per-connection modes (released buffers, partial writes, …) are the Stream's.
void set_common(SSL_CTX* context, TlsFloor floor) {
  SSL_CTX_set_min_proto_version(context, floor == TlsFloor::k12 ? TLS1_2_VERSION : TLS1_3_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CLEANSE_PLAINTEXT);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
}

}  // namespace

// --- ticket keys -----------------------------------------------------------------------------------------------------

TicketKeys::~TicketKeys() {
  OPENSSL_cleanse(&current_, sizeof current_);
  OPENSSL_cleanse(&previous_, sizeof previous_);
}

void TicketKeys::set_lifetime(std::chrono::seconds lifetime) noexcept {
  const std::lock_guard lock(mutex_);
  lifetime_ = lifetime;
}

bool TicketKeys::rotate(MonoTime now) noexcept {
  if (has_previous_ && now - previous_.made >= 2 * lifetime_) {
    OPENSSL_cleanse(&previous_, sizeof previous_);
    has_previous_ = false;
  }
  if (has_current_ && now - current_.made < lifetime_) return true;
  Key made;
  made.made = now;
  const bool random = RAND_bytes(made.name.data(), made.name.size()) == 1 &&
                      RAND_priv_bytes(made.cipher.data(), made.cipher.size()) == 1 &&
                      RAND_priv_bytes(made.digest.data(), made.digest.size()) == 1;
  if (!random) return false;
  if (has_current_ && now - current_.made < 2 * lifetime_) {
    previous_ = current_;
    has_previous_ = true;
  }
  current_ = made;
  has_current_ = true;
  OPENSSL_cleanse(&made, sizeof made);
  return true;
}

bool TicketKeys::seal_key(Key& into, MonoTime now) noexcept {
  const std::lock_guard lock(mutex_);
  if (!rotate(now)) return false;
  into = current_;
  return true;
}

TicketKeys::Found TicketKeys::open_key(std::span<const unsigned char, 16> name, Key& into, MonoTime now) noexcept {
  const std::lock_guard lock(mutex_);
  if (!rotate(now)) return Found::kNo;
  const auto matches = [&](const Key& key) { return std::memcmp(key.name.data(), name.data(), name.size()) == 0; };
  if (matches(current_)) {
    into = current_;
    return Found::kCurrent;
  }
  if (!has_previous_ || !matches(previous_)) return Found::kNo;
  into = previous_;
  return Found::kPrevious;
}

// --- contexts --------------------------------------------------------------------------------------------------------

absl::StatusOr<std::unique_ptr<ServerTls>> ServerTls::create(const ServerTlsOptions& options) {
  std::unique_ptr<ServerTls> made(new ServerTls(options.ticket_lifetime));
  auto first = made->prepare(options);
  if (!first.ok()) return first.status();
  made->install(*std::move(first));
  return made;
}

std::shared_ptr<SSL_CTX> ServerTls::context() const {
  const std::lock_guard lock(mutex_);
  return context_;
}

void ServerTls::install(Replacement replacement) {
  tickets_.set_lifetime(replacement.ticket_lifetime);
  const std::lock_guard lock(mutex_);
  context_.swap(replacement.context);
}

absl::StatusOr<ServerTls::Replacement> ServerTls::prepare(const ServerTlsOptions& options) {
  auto context = new_context(TLS_server_method());
  if (!context) return absl::InternalError(absl::StrCat("no TLS context: ", reason()));
  set_common(context.get(), options.floor);
  if (auto s = use_key_pair(context.get(), options.certificate_file, options.key_file); !s.ok()) return s;
  if (!options.cipher_suites.empty() && SSL_CTX_set_ciphersuites(context.get(), options.cipher_suites.c_str()) != 1) {
    return absl::InvalidArgumentError(absl::StrCat("no cipher suites: ", options.cipher_suites));
  }
  if (!options.groups.empty() && SSL_CTX_set1_groups_list(context.get(), options.groups.c_str()) != 1) {
    return absl::InvalidArgumentError(absl::StrCat("no key exchange groups: ", options.groups));
  }
  // 1.2 only with forward secrecy and an AEAD.
  SSL_CTX_set_cipher_list(context.get(), "ECDHE+AESGCM:ECDHE+CHACHA20");
  SSL_CTX_set_options(context.get(), SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  static constexpr std::string_view kSessionIdContext = "sluice";
  SSL_CTX_set_session_id_context(context.get(), reinterpret_cast<const unsigned char*>(kSessionIdContext.data()),
                                 kSessionIdContext.size());
  if (options.tickets == Tickets::kOff) {
    SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context.get(), 0);
  } else {
    SSL_CTX_set_timeout(context.get(), options.ticket_lifetime.count());
    SSL_CTX_set_num_tickets(context.get(),
                            1);  // API clients keep few connections; each ticket is a write and 300 bytes
    SSL_CTX_set_app_data(context.get(), &tickets_);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context.get(), seal_or_open);
  }
  if (!options.tunnel_ca.empty()) {
    if (auto s = trust_tunnel_ca(context.get(), options.tunnel_ca); !s.ok()) return s;
  }
  SSL_CTX_set_keylog_callback(context.get(), &TlsRecords::on_key_log);  // kept in memory, for the records alone
  SSL_CTX_set_client_hello_cb(context.get(), on_client_hello, nullptr);
  SSL_CTX_set_alpn_select_cb(context.get(), select_alpn, nullptr);
  return Replacement{std::move(context), options.ticket_lifetime};
}

absl::StatusOr<std::shared_ptr<SSL_CTX>> create_client_tls(const ClientTlsOptions& options) {
  auto context = new_context(TLS_client_method());
  if (!context) return absl::InternalError(absl::StrCat("no TLS context: ", reason()));
  set_common(context.get(), TlsFloor::k12);
  KeptSession::prepare(context.get());
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  if (options.ca_file.empty()) {
    SSL_CTX_set_default_verify_paths(context.get());
  } else {
    if (auto s = check_readable(options.ca_file, "CA file"); !s.ok()) return s;
    if (SSL_CTX_load_verify_file(context.get(), options.ca_file.c_str()) != 1) {
      return absl::InvalidArgumentError(absl::StrCat(options.ca_file, " holds no usable certificate: ", reason()));
    }
  }
  if (!options.certificate_file.empty()) {
    if (auto s = use_key_pair(context.get(), options.certificate_file, options.key_file); !s.ok()) return s;
  }
  std::string list;
  for (const std::string& name : options.alpn) {
    if (name.empty() || name.size() > 255) return absl::InvalidArgumentError("ALPN name of a wrong length");
    list += static_cast<char>(name.size());
    list += name;
  }
  if (!list.empty() && SSL_CTX_set_alpn_protos(context.get(), reinterpret_cast<const unsigned char*>(list.data()),
                                               static_cast<unsigned>(list.size())) != 0) {
    return absl::InternalError("ALPN list refused");
  }
  ERR_clear_error();
  return context;
}

}  // namespace sluice::net
