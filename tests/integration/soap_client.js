// A stock client of Node's "soap" package: everything that it knows is the WSDL, a key and a certificate.
// Arguments: WSDL address, key file, certificate file, "1.1" or "1.2", file with the request as JSON. Prints the answer as JSON.
const soap = require("soap");
const fs = require("fs");

const [wsdl, keyFile, certificateFile, version, requestFile] = process.argv.slice(2);

async function main() {
  const client = await soap.createClientAsync(wsdl, { forceSoap12Headers: version === "1.2" });
  client.setSecurity(new soap.WSSecurityCert(fs.readFileSync(keyFile), fs.readFileSync(certificateFile), "", {
    hasTimeStamp: true,
    signatureAlgorithm: "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    digestAlgorithm: "http://www.w3.org/2001/04/xmlenc#sha256",
    signerOptions: { prefix: "ds" },
  }));
  const request = JSON.parse(fs.readFileSync(requestFile, "utf8"));
  const [accepted] = await client.SubmitTransferAsync(request);
  const [view] = await client.QueryTransferAsync({ caseId: accepted.caseId });
  let fault = null;
  try {
    await client.QueryTransferAsync({ caseId: "case_00000000000000000000000000" });
  } catch (error) {
    const root = error.root ? error.root.Envelope.Body.Fault : {};
    const detail = root.detail || root.Detail;
    fault = { message: error.message, code: detail && detail.ExchangeFault && detail.ExchangeFault.code };
  }
  console.log(JSON.stringify({ accepted, view, fault }));
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
