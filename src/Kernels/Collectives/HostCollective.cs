using System.Numerics;
using Kernels.Devices;
using Kernels.Devices.Cuda;

namespace Kernels;

/// <summary>
/// Transports over host memory. Tensors of the CPU device are used where they lie; those of other devices go through page-locked memory.
/// </summary>
internal abstract class HostCollective(int rank, int rankCount, CollectiveOptions options) : Collective(rank, rankCount, options)
{
    private readonly StagingMemory _sources = new(), _destinations = new();

    /// <summary>
    /// Exchanges the bytes. Returns when no other rank will read the source any more.
    /// </summary>
    /// <param name="call">What to do, with the sizes.</param>
    /// <param name="source">What this rank gives.</param>
    /// <param name="destination">Where its result goes; may be the source, or a part of it, where the call allows it.</param>
    private protected abstract void Exchange(in CollectiveCall call, nint source, nint destination);

    /// <summary>The transport takes addresses of this device as they are.</summary>
    private protected virtual bool Reaches(Device device, in CollectiveCall call) => device.Kind == DeviceKind.Cpu;

    private protected sealed override void RunCore(
        in CollectiveCall call, DeviceStream stream, in TensorBytes source, in TensorBytes destination)
    {
        bool reads = call.Kind != CollectiveKind.Broadcast || call.Root == Rank;
        bool writes = call.Kind != CollectiveKind.Broadcast || call.Root != Rank;
        if (Reaches(stream.Device, call))
        {
            ExchangeInPlace(call, stream, source, destination);
            return;
        }

        // What is not read or written is not looked at, but is there.
        DeviceMemory from = _sources.Reserve(stream.Device, reads ? source.Bytes : 0);
        DeviceMemory to = _destinations.Reserve(stream.Device, writes ? destination.Bytes : 0);
        if (reads && source.Bytes > 0) stream.Fetch(source, from);
        if (reads) stream.Synchronize();
        Exchange(call, from, 0, to, 0);
        if (writes && destination.Bytes > 0) _destinations.Upload(stream, destination);
    }

    private protected override void DisposeCore()
    {
        _sources.Dispose();
        _destinations.Dispose();
    }

    private void ExchangeInPlace(in CollectiveCall call, DeviceStream stream, in TensorBytes source, in TensorBytes destination)
    {
        if (stream.Device is not CudaDevice cuda)
        {
            Exchange(call, source.Memory, source.First, destination.Memory, destination.First);
            return;
        }

        stream.Synchronize();
        using CudaContext.Scope scope = cuda.Context.MakeCurrent();
        Exchange(call, source.Memory, source.First, destination.Memory, destination.First);
    }

    private void Exchange(
        in CollectiveCall call, DeviceMemory source, long sourceOffset, DeviceMemory destination, long destinationOffset)
    {
        using MemoryLease sourceLease = MemoryLease.Take(source), destinationLease = MemoryLease.Take(destination);
        try
        {
            Exchange(call, source.Value + (nint)sourceOffset, destination.Value + (nint)destinationOffset);
        }
        catch
        {
            // Another rank, or a library, may still be about to read or write there: it is never freed.
            source.Keep();
            destination.Keep();
            throw;
        }
    }

    /// <summary>Page-locked memory of a device that grows with what it is asked for.</summary>
    private sealed class StagingMemory : IDisposable
    {
        private const long SmallestBytes = 1 << 12;

        private Device? _device;
        private DeviceMemory? _memory;
        private DeviceEvent? _uploaded;

        /// <summary>Memory for so many bytes that no earlier upload reads any more.</summary>
        public DeviceMemory Reserve(Device device, long bytes)
        {
            _uploaded?.Wait();
            _uploaded?.Dispose();
            _uploaded = null;
            if (_memory is null || _device != device || _memory.Bytes < bytes)
            {
                _memory?.Dispose();
                _memory = null;
                _memory = device.AllocateHostMemory((long)BitOperations.RoundUpToPowerOf2((ulong)Math.Max(bytes, SmallestBytes)));
                _device = device;
            }

            return _memory;
        }

        public void Upload(DeviceStream stream, in TensorBytes destination)
        {
            stream.Send(_memory!, destination);
            _uploaded = stream.Record();
        }

        public void Dispose()
        {
            _uploaded?.Dispose();
            _memory?.Dispose();
        }
    }
}
