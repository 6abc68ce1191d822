using System.Collections.Concurrent;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using Kernels.Devices;
using Kernels.Tests.DeviceCode;

namespace Kernels.Tests.FakeDriver;

/// <summary>
/// Runs kernels on the stand-in: its device memory is host memory, so the CPU device's body of a kernel does on it what the kernel would.
/// The body's record is put together again from the raw arguments of the launch, each found by its name in the kernel's text, so a record
/// bound in a wrong order gives wrong results here as on a GPU.
/// </summary>
internal static unsafe partial class KernelBodies
{
    private static readonly Device Cpu = Device.Open("cpu");
    private static readonly Dictionary<string, Body> Bodies = KernelPrograms.Kernels.ToDictionary(kernel => kernel.EntryPoint, Body.Of);
    private static readonly ConcurrentDictionary<(KernelDefinition Kernel, string Head), KernelVariant> Variants = new();
    private static readonly ConcurrentDictionary<string, string> ParameterNames = new();
    private static Exception? _failure;

    /// <summary>From here on launches run their bodies.</summary>
    public static void Install() => FakeCuda.OnLaunch(&Run);

    /// <summary>Throws what went wrong in a body: an exception cannot leave it through the native frames.</summary>
    public static void ThrowIfFailed()
    {
        if (_failure is not null) throw new InvalidOperationException("a kernel body failed", _failure);
    }

    [UnmanagedCallersOnly]
    private static void Run(FakeLaunch* launch)
    {
        try
        {
            Body body = Bodies[launch->Function];
            body.Run(Variants.GetOrAdd((body.Kernel, launch->Head), static key => Variant(key.Head, key.Kernel)), launch->Arguments);
        }
        catch (Exception e)
        {
            _failure = e;
        }
    }

    /// <summary>Reads the variant off the defines at the head of the text.</summary>
    private static KernelVariant Variant(string head, KernelDefinition kernel)
    {
        Dictionary<string, int> defines =
            Define().Matches(head).ToDictionary(match => match.Groups[1].Value, match => int.Parse(match.Groups[2].Value));
        DType dtype = Enum.GetValues<DType>()
            .Single(dtype => defines.GetValueOrDefault($"DTYPE_{dtype.ShortName().ToUpperInvariant()}") == 1);
        uint switches = 0;
        for (int i = 0; i < kernel.Switches.Count; i++) switches |= (uint)defines[kernel.Switches[i]] << i;
        return new KernelVariant(dtype, defines["VEC"], switches);
    }

    [GeneratedRegex(@"^#define (\w+) (\d+)$", RegexOptions.Multiline)]
    private static partial Regex Define();

    /// <summary>The parameter that the field of a record is bound to: <c>GradientShare</c> to <c>gradient_share</c>.</summary>
    internal static string ParameterName(string field) =>
        ParameterNames.GetOrAdd(field, static name => WordStart().Replace(name, "_$0").ToLowerInvariant());

    [GeneratedRegex("(?<!^)[A-Z]")]
    private static partial Regex WordStart();

    /// <summary>A kernel's body behind its record type.</summary>
    private abstract class Body(KernelDefinition kernel)
    {
        public KernelDefinition Kernel { get; } = kernel;

        public static Body Of(KernelDefinition kernel)
        {
            Type record = kernel.GetType().GetGenericArguments()[0];
            return (Body)Activator.CreateInstance(typeof(Body<>).MakeGenericType(record), kernel)!;
        }

        public abstract void Run(KernelVariant variant, FakeArgument[] arguments);
    }

    private sealed class Body<TArguments>(KernelDefinition<TArguments> kernel) : Body(kernel)
        where TArguments : struct, IKernelArguments
    {
        public override void Run(KernelVariant variant, FakeArgument[] arguments)
        {
            Dictionary<string, FakeArgument> byName = arguments.ToDictionary(argument => argument.Name);
            TArguments record = Records.Create<TArguments>((name, type) => Value(ParameterName(name), type, byName));
            ((KernelDefinition<TArguments>)Kernel).Body(variant, record);
        }

        private static object Value(string name, Type type, Dictionary<string, FakeArgument> arguments) => type switch
        {
            _ when type == typeof(TensorArgument) => Tensor(name, arguments),
            _ when type == typeof(ulong) => arguments[name].Value,
            _ when type == typeof(uint) => (uint)arguments[name].Value,
            _ when arguments[name].Size == sizeof(double) => BitConverter.UInt64BitsToDouble(arguments[name].Value),
            _ => (double)BitConverter.UInt32BitsToSingle((uint)arguments[name].Value),
        };

        private static TensorArgument Tensor(string name, Dictionary<string, FakeArgument> arguments)
        {
            nint address = (nint)arguments[name].Value;
            return address == 0 ? default : new TensorArgument(Cpu.WrapMemory(address, 1), arguments[$"{name}_offset"].Value);
        }
    }
}

/// <summary>Makes argument records field by field.</summary>
internal static class Records
{
    private static readonly ConcurrentDictionary<Type, PropertyInfo[]> Fields = new();

    /// <summary>
    /// A record with a value for each of its fields, asked for by name and type; fields of a record inside it are its own.
    /// </summary>
    public static TArguments Create<TArguments>(Func<string, Type, object> value)
        where TArguments : struct => (TArguments)Create(typeof(TArguments), value);

    private static object Create(Type record, Func<string, Type, object> value)
    {
        object made = Activator.CreateInstance(record)!;
        PropertyInfo[] fields = Fields.GetOrAdd(record, static type => [.. type.GetProperties().Where(field => field.CanWrite)]);
        foreach (PropertyInfo field in fields) field.SetValue(made, Field(field));
        return made;

        object Field(PropertyInfo field)
        {
            Type type = field.PropertyType;
            return type.IsAssignableTo(typeof(IKernelArguments)) ? Create(type, value) : value(field.Name, type);
        }
    }
}
