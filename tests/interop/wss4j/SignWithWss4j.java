import java.io.*;
import java.nio.file.*;
import java.util.*;
import javax.xml.parsers.*;
import javax.xml.transform.*;
import javax.xml.transform.dom.DOMSource;
import javax.xml.transform.stream.StreamResult;
import org.apache.ws.security.*;
import org.apache.ws.security.components.crypto.*;
import org.apache.ws.security.message.*;
import org.w3c.dom.Document;

/**
 * Signs one envelope as WSS4J 1.6 does, once per kind of key identifier, for the fixtures of tests/interop.
 * Usage: java -cp wss4j.jar:xmlsec.jar:commons-logging.jar:. SignWithWss4j envelope.xml key.p12 password alias outdir
 */
public class SignWithWss4j {
    public static void main(String[] a) throws Exception {
        WSSConfig.init();
        Properties p = new Properties();
        p.put("org.apache.ws.security.crypto.provider", "org.apache.ws.security.components.crypto.Merlin");
        p.put("org.apache.ws.security.crypto.merlin.keystore.type", "pkcs12");
        p.put("org.apache.ws.security.crypto.merlin.keystore.file", a[1]);
        p.put("org.apache.ws.security.crypto.merlin.keystore.password", a[2]);
        Crypto crypto = CryptoFactory.getInstance(p);
        Map<String, Integer> kinds = new LinkedHashMap<>();
        kinds.put("direct", WSConstants.BST_DIRECT_REFERENCE);
        kinds.put("issuer-serial", WSConstants.ISSUER_SERIAL);
        kinds.put("ski", WSConstants.SKI_KEY_IDENTIFIER);
        kinds.put("thumbprint", WSConstants.THUMBPRINT_IDENTIFIER);
        kinds.put("x509-key-identifier", WSConstants.X509_KEY_IDENTIFIER);
        for (Map.Entry<String, Integer> kind : kinds.entrySet()) {
            sign(a, crypto, kind.getValue(), false, false, "wss4j-" + kind.getKey());
            sign(a, crypto, kind.getValue(), true, false, "wss4j-" + kind.getKey() + "-token");
        }
        sign(a, crypto, WSConstants.BST_DIRECT_REFERENCE, false, true, "wss4j-default-sha1");
    }

    static void sign(String[] a, Crypto crypto, int kind, boolean token, boolean defaults, String name) throws Exception {
        DocumentBuilderFactory f = DocumentBuilderFactory.newInstance();
        f.setNamespaceAware(true);
        Document doc = f.newDocumentBuilder().parse(new File(a[0]));
        WSSecHeader header = new WSSecHeader();
        header.insertSecurityHeader(doc);
        WSSecTimestamp timestamp = new WSSecTimestamp();
        timestamp.setTimeToLive(300);
        timestamp.prepare(doc);
        timestamp.prependToHeader(header);
        WSSecSignature signature = new WSSecSignature();
        signature.setUserInfo(a[3], a[2]);
        signature.setKeyIdentifierType(kind);
        if (!defaults) {
            signature.setSignatureAlgorithm("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256");
            signature.setDigestAlgo("http://www.w3.org/2001/04/xmlenc#sha256");
        }
        Vector<WSEncryptionPart> parts = new Vector<>();
        parts.add(new WSEncryptionPart("Body", "http://schemas.xmlsoap.org/soap/envelope/", ""));
        parts.add(new WSEncryptionPart(timestamp.getId()));
        if (token) parts.add(new WSEncryptionPart("STRTransform", "", "Element"));
        signature.setParts(parts);
        signature.build(doc, crypto, header);
        Transformer t = TransformerFactory.newInstance().newTransformer();
        t.transform(new DOMSource(doc), new StreamResult(new File(a[4], name + ".xml")));
    }
}
