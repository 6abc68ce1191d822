using Kernels.Devices;
using Xunit;

namespace Kernels.Tests.FakeDriver;

/// <summary>
/// Launches a kernel with a value of its own in each field of its record and compares what arrived under each parameter's name.
/// </summary>
internal abstract class SentinelLaunch
{
    public static SentinelLaunch Of(KernelDefinition kernel)
    {
        Type record = kernel.GetType().GetGenericArguments()[0];
        return (SentinelLaunch)Activator.CreateInstance(typeof(SentinelLaunch<>).MakeGenericType(record), kernel)!;
    }

    public abstract void Check(DeviceStream stream, KernelVariant variant, Func<FakeLaunch> launch);
}

internal sealed class SentinelLaunch<TArguments>(KernelDefinition<TArguments> kernel) : SentinelLaunch
    where TArguments : struct, IKernelArguments
{
    private const int Groups = 3;

    public override void Check(DeviceStream stream, KernelVariant variant, Func<FakeLaunch> launch)
    {
        Dictionary<string, (uint Size, ulong Value)> expected = [];
        List<DeviceMemory> memories = [];
        uint count = 0;
        try
        {
            TArguments record = Records.Create<TArguments>(Sentinel);
            stream.Launch(kernel, variant, new LaunchShape(Groups), record);
        }
        finally
        {
            memories.ForEach(memory => memory.Dispose());
        }

        FakeLaunch seen = launch();
        Assert.Equal(kernel.EntryPoint, seen.Function);
        Assert.Equal(KernelSource.Assemble("cuda", kernel, variant), seen.Source);
        Assert.Equal(((uint)Groups, 1u, 1u), seen.Grid);
        Assert.Equal(((uint)kernel.GroupSize, 1u, 1u), seen.Block);
        Assert.Equal((ulong)stream.NativeHandle, seen.Stream);
        Assert.Equal(
            expected.Select(argument => $"{argument.Key}: {argument.Value}").Order(),
            seen.Arguments.Select(argument => $"{argument.Name}: {(argument.Size, argument.Value)}").Order());

        object Sentinel(string field, Type type)
        {
            string name = KernelBodies.ParameterName(field);
            if (type == typeof(TensorArgument)) return Tensor(name);
            if (type == typeof(ulong)) return UInt64(name);
            if (type == typeof(uint)) return UInt32(name);
            return Real(name);
        }

        TensorArgument Tensor(string name)
        {
            DeviceMemory memory = stream.Device.AllocateMemory(16);
            memories.Add(memory);
            expected[name] = (8, (ulong)memory.Value);
            return new TensorArgument(memory, UInt64($"{name}_offset"));
        }

        ulong UInt64(string name)
        {
            ulong value = 0x1122334455660000ul + ++count;
            expected[name] = (8, value);
            return value;
        }

        uint UInt32(string name)
        {
            uint value = 0xfedc0000 + ++count;
            expected[name] = (4, value);
            return value;
        }

        // Neither half of a double nor a float is the other's value.
        double Real(string name)
        {
            double value = ++count + 0.1;
            expected[name] = variant.DType == DType.Float64
                ? (8u, BitConverter.DoubleToUInt64Bits(value))
                : (4u, BitConverter.SingleToUInt32Bits((float)value));
            return value;
        }
    }
}
