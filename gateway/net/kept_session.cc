#include "net/kept_session.h"

namespace sluice::net {

// Where an SSL object has its KeptSession.
int KeptSession::slot() noexcept {
  static const int made = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return made;
}

void KeptSession::prepare(SSL_CTX* context) noexcept {
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, &KeptSession::on_session);
}

void KeptSession::listen_to(SSL* ssl) noexcept {
  if (SSL_version(ssl) >= TLS1_3_VERSION) {
    SSL_set_ex_data(ssl, slot(), this);
  } else if (SSL_SESSION* const session = SSL_get1_session(ssl); session != nullptr) {
    session_.reset(session);  // one that cannot be resumed is not offered
  }
}

// 1: the session is ours to free from now on.
int KeptSession::on_session(SSL* ssl, SSL_SESSION* session) noexcept {
  auto* const self = static_cast<KeptSession*>(SSL_get_ex_data(ssl, slot()));
  if (self == nullptr) return 0;
  self->session_.reset(session);
  return 1;
}

}  // namespace sluice::net
