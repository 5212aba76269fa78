// Signs one envelope as the npm package "soap" does, for the fixtures of tests/interop.
// Usage: node sign-with-soap.js envelope.xml key.pem cert.pem outdir   (npm i soap beside it)
const fs = require('fs');
const path = require('path');
const { WSSecurityCert } = require('soap');

const [, , envelope, key, cert, out] = process.argv;
const variants = {
  'node-soap-default': {},
  'node-soap-rsa-sha256': { signatureAlgorithm: 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256' },
  'node-soap-rsa-sha1': {
    signatureAlgorithm: 'http://www.w3.org/2000/09/xmldsig#rsa-sha1',
    digestAlgorithm: 'http://www.w3.org/2000/09/xmldsig#sha1',
  },
  'node-soap-no-timestamp': { hasTimeStamp: false },
};
const xml = fs.readFileSync(envelope, 'utf8').replace('<soapenv:Header/>', '<soapenv:Header></soapenv:Header>');
for (const [name, options] of Object.entries(variants)) {
  const security = new WSSecurityCert(fs.readFileSync(key), fs.readFileSync(cert, 'utf8'), '', options);
  fs.writeFileSync(path.join(out, `${name}.xml`), security.postProcess(xml, 'soapenv'));
}
