import java.io.*;
import java.security.*;
import java.security.cert.X509Certificate;
import java.util.*;
import javax.xml.crypto.dsig.*;
import javax.xml.crypto.dsig.dom.DOMSignContext;
import javax.xml.crypto.dsig.keyinfo.*;
import javax.xml.crypto.dsig.spec.*;
import javax.xml.parsers.*;
import javax.xml.transform.*;
import javax.xml.transform.dom.DOMSource;
import javax.xml.transform.stream.StreamResult;
import org.w3c.dom.Document;

/**
 * Enveloped signatures as the JDK makes them (javax.xml.crypto), for the fixtures of tests/interop.
 * Usage: java SignWithJdk.java document.xml key.p12 password alias signature-algorithm c14n out.xml
 */
public class SignWithJdk {
    public static void main(String[] a) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        try (InputStream in = new FileInputStream(a[1])) { store.load(in, a[2].toCharArray()); }
        PrivateKey key = (PrivateKey) store.getKey(a[3], a[2].toCharArray());
        X509Certificate cert = (X509Certificate) store.getCertificate(a[3]);
        XMLSignatureFactory f = XMLSignatureFactory.getInstance("DOM");
        Reference ref = f.newReference("", f.newDigestMethod(DigestMethod.SHA256, null),
            List.of(f.newTransform(Transform.ENVELOPED, (TransformParameterSpec) null),
                    f.newTransform(a[5], (TransformParameterSpec) null)), null, null);
        SignedInfo si = f.newSignedInfo(f.newCanonicalizationMethod(a[5], (C14NMethodParameterSpec) null),
            f.newSignatureMethod(a[4], null), List.of(ref));
        KeyInfoFactory kif = f.getKeyInfoFactory();
        KeyInfo ki = kif.newKeyInfo(List.of(kif.newX509Data(List.of(cert.getSubjectX500Principal().getName(), cert))));
        DocumentBuilderFactory dbf = DocumentBuilderFactory.newInstance();
        dbf.setNamespaceAware(true);
        Document doc = dbf.newDocumentBuilder().parse(new File(a[0]));
        f.newXMLSignature(si, ki).sign(new DOMSignContext(key, doc.getDocumentElement()));
        Transformer t = TransformerFactory.newInstance().newTransformer();
        t.transform(new DOMSource(doc), new StreamResult(new File(a[6])));
    }
}
