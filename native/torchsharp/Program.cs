using Kernels;
using TorchSharp;
using static TorchSharp.torch;

// The same gradients with dropout of this library inside of TorchSharp's autograd as by hand: the mask is drawn again,
// not saved.
using Kernels.Device device = Kernels.Device.Open(cuda.is_available() ? "cuda:0" : "cpu");
using TorchStream queue = new(device);
torch.Device place = cuda.is_available() ? CUDA : CPU;

using Tensor whole = randn(6, 8, device: place);
using Tensor x = whole.narrow(0, 2, 4).detach().requires_grad_(); // a view: its storage begins elsewhere
using Tensor y = DropoutFunction.apply(x, queue, 0.25, new RandomKey(Seed: 42, Offset: 0));
using Tensor loss = (y * y).sum();
loss.backward();

using Tensor mask = (y != 0).to(ScalarType.Float32);
double scale = KeepThreshold.FromDropProbability(0.25).Scale;
using Tensor expected = 2 * scale * scale * mask * x.detach();
bool isRight = x.grad!.allclose(expected) && y.allclose(scale * mask * x.detach());
Console.WriteLine($"{device}: kept {mask.sum().item<float>()} of {x.numel()}, gradients right: {isRight}");
return isRight ? 0 : 1;

/// <summary>
/// A stream on which TorchSharp works too: it has libtorch work on CUDA's legacy default stream, which has the
/// handle 0.
/// </summary>
internal sealed class TorchStream(Kernels.Device device) : IDisposable
{
    public DeviceStream Stream { get; } = device.Kind == DeviceKind.Cuda ? device.WrapStream(0) : device.CreateStream();

    /// <summary>
    /// A tensor of TorchSharp as one of ours. A tensor that is a view begins at an offset of its storage. Keep the
    /// tensor alive until the work on it is queued.
    /// </summary>
    public DeviceTensor<float> Lend(Tensor tensor)
    {
        if (tensor.dtype != ScalarType.Float32)
            throw new ArgumentException($"{tensor.dtype} is not float.", nameof(tensor));
        if (!tensor.is_contiguous()) throw new ArgumentException("The tensor is not contiguous.", nameof(tensor));
        if (tensor.device_type == DeviceType.CUDA != (device.Kind == DeviceKind.Cuda))
            throw new ArgumentException($"The tensor is on {tensor.device}, not on {device}.", nameof(tensor));
        nint pointer = tensor.storage<float>().data_ptr();
        return device.WrapTensor<float>(pointer, tensor.storage_offset() * sizeof(float), tensor.shape);
    }

    public void Dispose() => Stream.Dispose();
}

/// <summary>Dropout as an autograd function: what it saves for backward is the key.</summary>
internal sealed class DropoutFunction : autograd.SingleTensorFunction<DropoutFunction>
{
    public override string Name => nameof(DropoutFunction);

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        (Tensor x, TorchStream queue) = ((Tensor)vars[0], (TorchStream)vars[1]);
        (double dropProbability, RandomKey key) = ((double)vars[2], (RandomKey)vars[3]);
        ctx.save_data("queue", queue);
        ctx.save_data("dropProbability", dropProbability);
        ctx.save_data("key", key);
        Tensor y = empty_like(x);
        using DeviceTensor<float> from = queue.Lend(x), to = queue.Lend(y);
        Dropout.Forward(queue.Stream, from, to, dropProbability, key);
        GC.KeepAlive(x);
        return y;
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        TorchStream queue = (TorchStream)ctx.get_data("queue");
        using Tensor dy = grad_output.contiguous();
        Tensor dx = empty_like(dy);
        using DeviceTensor<float> from = queue.Lend(dy), to = queue.Lend(dx);
        double dropProbability = (double)ctx.get_data("dropProbability");
        RandomKey key = (RandomKey)ctx.get_data("key");
        Dropout.Backward(queue.Stream, from, to, dropProbability, key);
        GC.KeepAlive(dy);
        return [dx, null!, null!, null!];
    }
}
