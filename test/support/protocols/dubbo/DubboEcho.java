import java.util.List;
import java.util.Map;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.ServiceConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;

/**
 * A provider of Apache Dubbo ({@code serve PORT}) and a consumer that calls it ({@code call HOST:PORT COUNT}). A consumer takes
 * localhost and 127.0.0.1 for the machine's own address, so that the host must have another name.
 */
public final class DubboEcho {
  public interface Echo {
    Object echo(Object value);

    String fail(String why);
  }

  static final class Provider implements Echo {
    @Override
    public Object echo(Object value) {
      return value;
    }

    @Override
    public String fail(String why) {
      throw new IllegalStateException(why);
    }
  }

  public static void main(String[] arguments) throws Exception {
    if (arguments[0].equals("serve")) serve(Integer.parseInt(arguments[1]));
    else System.exit(call(arguments[1], Integer.parseInt(arguments[2])));
  }

  private static ApplicationConfig application(String name) {
    ApplicationConfig application = new ApplicationConfig(name);
    application.setQosEnable(false);
    application.setRegisterMode("instance");
    return application;
  }

  private static void serve(int port) throws Exception {
    ProtocolConfig protocol = new ProtocolConfig("dubbo", port);
    protocol.setHost("127.0.0.1");
    protocol.setSerialization("hessian2");
    ServiceConfig<Echo> service = new ServiceConfig<>();
    service.setInterface(Echo.class);
    service.setRef(new Provider());
    DubboBootstrap.getInstance()
        .application(application("provider"))
        .registry(new RegistryConfig("N/A"))
        .protocol(protocol)
        .service(service)
        .start();
    System.out.println("ready");
    Thread.currentThread().join();
  }

  private static int call(String at, int count) {
    ReferenceConfig<Echo> reference = new ReferenceConfig<>();
    reference.setInterface(Echo.class);
    reference.setUrl("dubbo://" + at + "?serialization=hessian2&prefer.serialization=hessian2");
    reference.setTimeout(20_000);
    reference.setRetries(0);
    reference.setCheck(false);
    DubboBootstrap.getInstance().application(application("consumer")).reference(reference).start();
    Echo echo = reference.get();
    List<Object> values =
        List.of("text", "x".repeat(1_000_000), 7, 2.5, Map.of("key", List.of("a", "b")));
    for (Object value : values)
      if (!value.equals(echo.echo(value))) return 1;
    for (int index = values.size(); index < count; index++)
      if (!("call " + index).equals(echo.echo("call " + index))) return 1;
    try {
      echo.fail("on purpose");
      return 2;
    } catch (IllegalStateException expected) {
      System.out.println(expected.getMessage());
    }
    return 0;
  }
}
