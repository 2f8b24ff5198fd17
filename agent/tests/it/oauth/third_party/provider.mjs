// A provider of OAuth 2.0 by others, with a person who always consents and a browser that follows redirects.
// It prints its address, and answers two questions of its own: POST /_browser (an authorisation request; the address the
// browser ends at) and GET /_revoked (how many consents ended because a refresh token came twice).
import http from 'node:http';

const { default: Provider } = await import(`${process.env.WHERRY_OIDC}/lib/index.js`);
const redirect = process.env.WHERRY_REDIRECT ?? 'https://controller.example/oauth/callback';
const common = {
  redirect_uris: [redirect], response_types: ['code'], scope: 'openid offline_access',
  grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
};
const server = http.createServer();
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const issuer = `http://127.0.0.1:${server.address().port}`;
let revoked = 0;
let asked = 0;

const provider = new Provider(issuer, {
  clients: [
    { ...common, client_id: 'wherry', client_secret: 's3cret & more', token_endpoint_auth_method: 'client_secret_basic' },
    { ...common, client_id: 'posts', client_secret: 's3cret', token_endpoint_auth_method: 'client_secret_post' },
    { ...common, client_id: 'public', token_endpoint_auth_method: 'none', grant_types: ['authorization_code', 'refresh_token'] },
    {
      ...common, client_id: 'keyed', token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: process.env.WHERRY_ALG, jwks: JSON.parse(process.env.WHERRY_JWKS),
    },
  ],
  rotateRefreshToken: true,
  issueRefreshToken: async (ctx, client, code) => code.scopes.has('offline_access'),
  pkce: { required: () => true },
  scopes: ['openid', 'offline_access'],
  claims: { openid: ['sub', 'email'] },
  conformIdTokenClaims: false,
  findAccount: async (ctx, id) => ({ accountId: id, claims: async () => ({ sub: id, email: `${id}@example.com` }) }),
  features: {
    devInteractions: { enabled: false }, clientCredentials: { enabled: true }, revocation: { enabled: true },
    pushedAuthorizationRequests: { enabled: true },
  },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  cookies: { keys: ['only for this test'] },
  ttl: { AccessToken: 3600, ClientCredentials: 3600, RefreshToken: 86400, Grant: 86400, Session: 86400, Interaction: 600, IdToken: 600 },
});
provider.on('grant.revoked', () => { revoked += 1; });
provider.on('server_error', (ctx, error) => console.error(error));

async function interact(req, res) {
  const { prompt, params } = await provider.interactionDetails(req, res);
  if (prompt.name === 'login') {
    return provider.interactionFinished(req, res, { login: { accountId: 'ada' } });
  }
  const grant = new provider.Grant({ accountId: 'ada', clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  return provider.interactionFinished(req, res, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
}

async function browse(address) {
  const jar = new Map();
  let next = address;
  for (let hop = 0; hop < 10; hop += 1) {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(next, { redirect: 'manual', headers: { cookie } });
    for (const line of answer.headers.getSetCookie()) {
      const [pair] = line.split(';');
      const at = pair.indexOf('=');
      jar.set(pair.slice(0, at), pair.slice(at + 1));
    }
    const location = answer.headers.get('location');
    if (!location) throw new Error(`no way on from ${next}: ${answer.status} ${await answer.text()}`);
    next = new URL(location, next).href;
    if (next.startsWith(redirect)) return next;
  }
  throw new Error('too many redirects');
}

const callback = provider.callback();
server.on('request', async (req, res) => {
  try {
    if (req.url.startsWith('/interaction/')) return await interact(req, res);
    if (req.url === '/me') asked += 1;
    if (req.url === '/_asked') return res.end(String(asked));
    if (req.url === '/_revoked') return res.end(String(revoked));
    if (req.url === '/_browser') {
      let body = '';
      for await (const piece of req) body += piece;
      return res.end(await browse(body));
    }
    // A system that takes the provider's tokens: whoever userinfo knows may read.
    if (req.url.startsWith('/items')) {
      const known = await fetch(`${issuer}/me`, { headers: { authorization: req.headers.authorization ?? '' } });
      res.statusCode = known.ok ? 200 : 401;
      res.setHeader('content-type', 'application/json');
      return res.end(JSON.stringify({ items: known.ok ? [{ id: 1 }, { id: 2 }, { id: 3 }] : [] }));
    }
    return callback(req, res);
  } catch (error) {
    res.statusCode = 500;
    return res.end(String(error));
  }
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
console.log(issuer);
