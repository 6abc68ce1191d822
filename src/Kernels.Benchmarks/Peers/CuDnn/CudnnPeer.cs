using Kernels.Devices.Cuda;
using Kernels.Verification;
using static Kernels.Benchmarks.Cudnn;

namespace Kernels.Benchmarks;

/// <summary>cuDNN 9 on our own stream and tensors: dropout and ReLU.</summary>
internal sealed unsafe class CudnnPeer : Peer
{
    private readonly CudaDevice _device;
    private readonly nint _handle;

    /// <exception cref="PeerException">The library is missing or refuses the device.</exception>
    public CudnnPeer(DeviceStream stream)
    {
        _device = (CudaDevice)stream.Device;
        PeerLibraries.Load(PeerLibraries.Cudnn);
        nuint version = cudnnGetVersion();
        Name = $"cuDNN {version / 10000}.{version / 100 % 100}.{version % 100}";
        using CudaContext.Scope scope = _device.Context.MakeCurrent();
        ThrowIfFailed(cudnnCreate(out _handle));
        ThrowIfFailed(cudnnSetStream(_handle, stream.NativeHandle));
    }

    public override string Name { get; }

    public override string? Reject(OpCase op, Problem problem, DType dtype)
    {
        if (Count(op, problem) is not { } count) return NoCounterpart;
        return count > int.MaxValue ? "cuDNN counts in 32 bits" : null;
    }

    public override PeerCall Prepare(OpCase op, Problem problem, DType dtype, DeviceTensors tensors)
    {
        if (Reject(op, problem, dtype) is { } reason) throw new PeerException(reason);
        using CudaContext.Scope scope = _device.Context.MakeCurrent();
        CudnnProgram program = new(_device, _handle, dtype, (int)Count(op, problem)!.Value);
        try
        {
            (string name, Action run) = problem is DropoutProblem dropout
                ? program.Dropout(dropout, tensors)
                : program.Relu(problem.Entry == "backward", tensors);
            run();
            return new QueuedCall(name, () => InContext(run), () => InContext(program.Dispose));
        }
        catch
        {
            program.Dispose();
            throw;
        }
    }

    public override void Dispose()
    {
        InContext(() => cudnnDestroy(_handle));
        base.Dispose();
    }

    /// <summary>
    /// The elements of each tensor, for problems that have a counterpart. Ops can share a kind of problem, so the op decides too.
    /// </summary>
    private static long? Count(OpCase op, Problem problem) => (op.Op, problem) switch
    {
        ("dropout", DropoutProblem { Scaling: DropoutScaling.Inverted, Entry: "forward" or "backward" } p) => Count(p.Shape),
        ("relu", ReluProblem p) => Count(p.Shape),
        _ => null,
    };

    private static long Count(long[] shape) => shape.Aggregate(1L, (product, dimension) => product * dimension);

    private void InContext(Action work)
    {
        using CudaContext.Scope scope = _device.Context.MakeCurrent();
        work();
    }
}

/// <summary>Descriptors and memory of one prepared call; all tensors of these ops have one shape.</summary>
internal sealed unsafe class CudnnProgram : IDisposable
{
    private readonly Device _device;
    private readonly nint _handle;
    private readonly DType _dtype;
    private readonly nint _tensor;
    private readonly List<Action> _release = [];

    public CudnnProgram(Device device, nint handle, DType dtype, int count)
    {
        (_device, _handle, _dtype) = (device, handle, dtype);
        ThrowIfFailed(cudnnCreateTensorDescriptor(out _tensor));
        _release.Add(() => cudnnDestroyTensorDescriptor(_tensor));
        CudnnType type = dtype switch
        {
            DType.Float16 => CudnnType.Float16,
            DType.BFloat16 => CudnnType.BFloat16,
            DType.Float64 => CudnnType.Float64,
            _ => CudnnType.Float32,
        };
        ThrowIfFailed(cudnnSetTensor4dDescriptor(_tensor, FormatNchw, type, 1, 1, 1, count));
    }

    public (string Name, Action Run) Dropout(DropoutProblem problem, DeviceTensors tensors)
    {
        ThrowIfFailed(cudnnDropoutGetStatesSize(_handle, out nuint stateBytes));
        ThrowIfFailed(cudnnDropoutGetReserveSpaceSize(_tensor, out nuint maskBytes));
        nint states = Allocate(stateBytes), mask = Allocate(maskBytes);
        ThrowIfFailed(cudnnCreateDropoutDescriptor(out nint dropout));
        _release.Add(() => cudnnDestroyDropoutDescriptor(dropout));
        ThrowIfFailed(cudnnSetDropoutDescriptor(dropout, _handle, (float)problem.DropProbability, states, stateBytes, 1));
        bool forward = problem.Entry == "forward";
        void* from = tensors.Address(forward ? "x" : "dy", _dtype), to = tensors.Address(forward ? "y" : "dx", _dtype);
        // Backward reads the mask that forward leaves behind.
        if (!forward) ThrowIfFailed(cudnnDropoutForward(_handle, dropout, _tensor, from, _tensor, to, mask, maskBytes));
        return forward
            ? (nameof(cudnnDropoutForward),
                () => ThrowIfFailed(cudnnDropoutForward(_handle, dropout, _tensor, from, _tensor, to, mask, maskBytes)))
            : (nameof(cudnnDropoutBackward),
                () => ThrowIfFailed(cudnnDropoutBackward(_handle, dropout, _tensor, from, _tensor, to, mask, maskBytes)));
    }

    public (string Name, Action Run) Relu(bool backward, DeviceTensors tensors)
    {
        ThrowIfFailed(cudnnCreateActivationDescriptor(out nint relu));
        _release.Add(() => cudnnDestroyActivationDescriptor(relu));
        ThrowIfFailed(cudnnSetActivationDescriptor(relu, ActivationRelu, PropagateNan, 0));
        void* x = tensors.Address("x", _dtype);
        if (!backward)
        {
            void* y = tensors.Address("y", _dtype);
            return ("cudnnActivationForward", () => Scaled(
                (one, zero) => cudnnActivationForward(_handle, relu, (void*)one, _tensor, x, (void*)zero, _tensor, y)));
        }

        // The forward output only decides where the gradient passes, which x does as well.
        void* dy = tensors.Address("dy", _dtype), dx = tensors.Address("dx", _dtype);
        return ("cudnnActivationBackward", () => Scaled(
            (one, zero) => cudnnActivationBackward(
                _handle, relu, (void*)one, _tensor, x, _tensor, dy, _tensor, x, (void*)zero, _tensor, dx)));
    }

    public void Dispose()
    {
        for (int i = _release.Count - 1; i >= 0; i--) _release[i]();
        _release.Clear();
    }

    private void Scaled(Func<nint, nint, int> call)
    {
        float one = 1, zero = 0;
        double oneDouble = 1, zeroDouble = 0;
        bool isDouble = _dtype == DType.Float64;
        ThrowIfFailed(isDouble ? call((nint)(&oneDouble), (nint)(&zeroDouble)) : call((nint)(&one), (nint)(&zero)), "cudnnActivation");
    }

    private nint Allocate(nuint bytes)
    {
        DeviceBuffer<byte> buffer = _device.AllocateBuffer<byte>(Math.Max(1, (long)bytes));
        _release.Add(buffer.Dispose);
        return buffer.NativeHandle;
    }
}
