package io.github.sparkrlhf.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.pytorch.engine.PtNDManager;
import ai.djl.pytorch.engine.PtSymbolBlock;
import ai.djl.pytorch.jni.JniUtils;
import ai.djl.training.ParameterStore;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/**
 * Several operations of PyTorch as one call, and those that DJL does not offer: a TorchScript
 * module without weights, compiled from a source that ships with this class. Differentiable. For
 * one thread at a time.
 *
 * <p>The arrays between the operations are freed at once, where DJL keeps each until its manager is
 * closed.
 */
final class TorchScript {
  private final PtSymbolBlock module;
  private final ParameterStore store;

  private TorchScript(PtSymbolBlock module, NDManager manager) {
    this.module = module;
    this.store = new ParameterStore(manager, false);
  }

  /**
   * Compiles a module.
   *
   * @param manager owns it
   * @param name of the class in the source file of that name
   */
  static TorchScript load(NDManager manager, String name) {
    byte[] archive = archive(name, source(name));
    try {
      PtSymbolBlock module =
          JniUtils.loadModule(
              (PtNDManager) manager, new ByteArrayInputStream(archive), false, false);
      return new TorchScript(module, manager);
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot load TorchScript module " + name, e);
    }
  }

  /**
   * Runs the module.
   *
   * @param inputs the first one's manager owns the result
   */
  NDArray apply(boolean training, NDArray... inputs) {
    return module.forward(store, new NDList(inputs), training).singletonOrThrow();
  }

  private static String source(String name) {
    try (InputStream in = TorchScript.class.getResourceAsStream(name + ".torchscript")) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read TorchScript source " + name, e);
    }
  }

  /** The file that {@code torch.jit.save} would write for an object of the class. */
  private static byte[] archive(String name, String source) {
    Map<String, byte[]> entries = new LinkedHashMap<>();
    entries.put("data.pkl", pickle(name));
    entries.put("code/__torch__.py", source.getBytes(StandardCharsets.UTF_8));
    // An empty tuple.
    entries.put("constants.pkl", new byte[] {(byte) 0x80, 2, ')', '.'});
    entries.put("version", "10\n".getBytes(StandardCharsets.US_ASCII));
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ZipOutputStream zip = new ZipOutputStream(bytes)) {
      zip.setMethod(ZipOutputStream.STORED);
      for (Map.Entry<String, byte[]> entry : entries.entrySet()) {
        ZipEntry header = new ZipEntry(name + "/" + entry.getKey());
        CRC32 checksum = new CRC32();
        checksum.update(entry.getValue());
        header.setCrc(checksum.getValue());
        header.setSize(entry.getValue().length);
        zip.putNextEntry(header);
        zip.write(entry.getValue());
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return bytes.toByteArray();
  }

  /** Python's pickle, protocol 2, of an object of the class with {@code training = True}. */
  private static byte[] pickle(String name) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (DataOutputStream out = new DataOutputStream(bytes)) {
      out.write(new byte[] {(byte) 0x80, 2});
      out.writeBytes("c__torch__\n" + name + "\n");
      out.writeBytes(")");
      out.write(0x81);
      out.writeBytes("}X");
      byte[] attribute = "training".getBytes(StandardCharsets.US_ASCII);
      out.writeInt(Integer.reverseBytes(attribute.length));
      out.write(attribute);
      out.write(0x88);
      out.writeBytes("sb.");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return bytes.toByteArray();
  }
}
