using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace MigrationD.Guest.Programs.Pulse;

/// <summary>
/// The machine code of the pulse guest: what <see cref="PulsePage"/> and <see cref="Walk"/> say, for a processor with nothing else on it.
/// </summary>
/// <remarks>
/// <para>The walk runs in ring 3, which every hypervisor executes natively; a KVM without hardware support (PVM) emulates ring 0, a
/// thousand times slower. Ring 3 has one way out that all of them support: an exception. So a character goes out by <c>ud2</c> at
/// one known address, whose #UD handler in ring 0 does the <c>out</c>, steps over the <c>ud2</c> and returns. Every other exception, and
/// a #UD anywhere else, writes its vector to <see cref="FailurePort"/> with its frame on the stack, and stops.</para>
/// <para>The clock is RDTSC plus r10. Some hypervisors (PVM) let ring 3 read the host's own counter and cannot offset it; there the
/// host, which moves the guest to a machine with another counter, puts the difference into r10. A register needs no page of guest
/// memory, which has not come yet at that time.</para>
/// <para>Registers that keep their meaning: r15 this vCPU's block, r10 the clock's offset, r11 the checksum's prime, r12 the content's
/// increment. In a step: rbx the page's address, rbp that of its version, r14 its index, r13 its version. The rest is scratch.</para>
/// </remarks>
internal sealed class PulseCode
{
    /// <summary>Where an unexpected exception reports its vector (QEMU's isa-debug-exit sits at the same port).</summary>
    public const byte FailurePort = 0xF4;

    /// <summary>Exception vectors of x86-64.</summary>
    public const int Exceptions = 32;

    private const int InvalidOpcode = 6;

    // Vectors whose frame has an error code (AMD64 manual, volume 2, section 8.2).
    private const uint HasErrorCode =
        1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 17 | 1u << 21 | 1u << 29 | 1u << 30;

    private readonly ulong[] _handlers;

    private PulseCode(byte[] code, ulong entry, ulong[] handlers)
    {
        Code = code;
        Entry = entry;
        _handlers = handlers;
    }

    /// <summary>What goes to the address that <see cref="Assemble"/> was given.</summary>
    public byte[] Code { get; }

    /// <summary>Address of the first instruction of a vCPU; it runs in ring 3 with r15 pointing at its block.</summary>
    public ulong Entry { get; }

    /// <summary>Address of the ring 0 handler of each exception.</summary>
    public ReadOnlySpan<ulong> Handlers => _handlers;

    /// <summary>The program for one pattern and content, to be placed at <paramref name="origin"/>, which is below 2 GiB.</summary>
    public static PulseCode Assemble(WalkPattern pattern, GuestContent content, ulong origin) =>
        new Writer(new Assembler(64), pattern, content, origin).Write();

    private sealed class Writer(Assembler _, WalkPattern pattern, GuestContent content, ulong origin)
    {
        private Label _leave = _.CreateLabel();
        private Label _pick = _.CreateLabel();
        private Label _check = _.CreateLabel();
        private Label _rewrite = _.CreateLabel();
        private Label _observe = _.CreateLabel();
        private Label _observeAndReport = _.CreateLabel();
        private Label _putText = _.CreateLabel();
        private Label _putHex = _.CreateLabel();
        private Label _putCharacter = _.CreateLabel();
        private Label _fail = _.CreateLabel();

        public PulseCode Write()
        {
            // First, so that the #UD handler knows its address: the origin.
            _.Label(ref _leave);
            _.ud2();
            _.ret();

            Label entry = _.CreateLabel();
            _.Label(ref entry);
            WriteMain();
            WritePick();
            WriteCheck();
            WriteRewrite();
            WriteObserve();
            WriteOutput();
            Label[] handlers = WriteHandlers();

            using var stream = new MemoryStream();
            AssemblerResult result = _.Assemble(
                new StreamCodeWriter(stream), origin, BlockEncoderOptions.ReturnNewInstructionOffsets);
            return new PulseCode(
                stream.ToArray(), result.GetLabelRIP(entry), Array.ConvertAll(handlers, handler => result.GetLabelRIP(handler)));
        }

        private static AssemblerMemoryOperand Field(int offset) => __qword_ptr[r15 + offset];

        private void WriteMain()
        {
            Label fill = _.CreateLabel();
            Label step = _.CreateLabel();
            Label intact = _.CreateLabel();

            _.mov(r11, PulsePage.ChecksumPrime);
            _.mov(r12, PulsePage.Step(content));
            WriteReadClock();
            _.mov(Field(VcpuBlock.LastSeen), rax);
            _.mov(Field(VcpuBlock.LastReport), rax);

            // Every page of the share gets its version 1.
            _.mov(rbx, Field(VcpuBlock.SharePagesAddress));
            _.mov(rbp, Field(VcpuBlock.ShareVersionsAddress));
            _.mov(r14, Field(VcpuBlock.ShareStart));
            _.Label(ref fill);
            _.mov(r13d, 1);
            _.call(_rewrite);
            _.call(_observeAndReport);
            _.add(rbx, 4096);
            _.add(rbp, PulseLayout.VersionSize);
            _.inc(r14);
            _.mov(rax, r14);
            _.sub(rax, Field(VcpuBlock.ShareStart));
            _.cmp(rax, Field(VcpuBlock.SharePages));
            _.jb(fill);

            _.Label(ref step);
            _.call(_pick);
            _.call(_check);
            _.test(r8, r8);
            _.jz(intact);
            _.inc(Field(VcpuBlock.CorruptPages));
            _.Label(ref intact);
            _.inc(r13);
            _.call(_rewrite);
            _.inc(Field(VcpuBlock.Steps));
            _.call(_observeAndReport);
            _.jmp(step);
        }

        /// <summary>Walk.Next, and from it the registers of a step.</summary>
        private void WritePick()
        {
            Label sweep = _.CreateLabel();
            Label sameSweep = _.CreateLabel();
            Label picked = _.CreateLabel();

            _.Label(ref _pick);
            if (pattern != WalkPattern.Sequential)
            {
                _.mov(eax, __dword_ptr[r15 + VcpuBlock.Steps]);
                _.and(eax, Walk.SweepEvery - 1);
                _.cmp(eax, Walk.SweepEvery - 1);
                _.je(sweep);

                _.mov(rax, Field(VcpuBlock.Random));
                _.mov(rcx, rax);
                _.shl(rcx, Walk.ShiftA);
                _.xor(rax, rcx);
                _.mov(rcx, rax);
                _.shr(rcx, Walk.ShiftB);
                _.xor(rax, rcx);
                _.mov(rcx, rax);
                _.shl(rcx, Walk.ShiftC);
                _.xor(rax, rcx);
                _.mov(Field(VcpuBlock.Random), rax);
                if (pattern == WalkPattern.Zipf)
                {
                    _.shr(rax, 64 - ZipfTable.Bits);
                    _.mov(rcx, Field(VcpuBlock.ZipfTableAddress));
                    _.mov(eax, __dword_ptr[rcx + (rax * 4)]);
                }
                else
                {
                    _.shr(rax, 32);
                    _.imul(rax, Field(VcpuBlock.SharePages));
                    _.shr(rax, 32);
                }

                _.jmp(picked);
                _.Label(ref sweep);
            }

            _.mov(rax, Field(VcpuBlock.Cursor));
            _.cmp(rax, Field(VcpuBlock.SharePages));
            _.jb(sameSweep);
            _.xor(eax, eax);
            _.inc(Field(VcpuBlock.Sweeps));
            _.Label(ref sameSweep);
            _.lea(rcx, __[rax + 1]);
            _.mov(Field(VcpuBlock.Cursor), rcx);

            if (pattern != WalkPattern.Sequential)
            {
                _.Label(ref picked);
            }

            _.mov(rbp, Field(VcpuBlock.ShareVersionsAddress));
            _.lea(rbp, __[rbp + (rax * PulseLayout.VersionSize)]);
            _.mov(rbx, rax);
            _.shl(rbx, 12);
            _.add(rbx, Field(VcpuBlock.SharePagesAddress));
            _.mov(r14, rax);
            _.add(r14, Field(VcpuBlock.ShareStart));
            _.mov(r13, __qword_ptr[rbp]);
            _.ret();
        }

        /// <summary>PulsePage.IsIntact: r8 is 0 when the page is what it must be.</summary>
        private void WriteCheck()
        {
            Label loop = _.CreateLabel();

            _.Label(ref _check);
            WriteFirstContent();
            _.mov(rax, PulsePage.ChecksumStart);
            _.mov(r9, __qword_ptr[rbx]);
            _.mov(r8, r9);
            _.xor(r8, r14);
            WriteMix(r9);
            _.mov(r9, __qword_ptr[rbx + 8]);
            _.mov(rsi, r9);
            _.xor(rsi, r13);
            _.or(r8, rsi);
            WriteMix(r9);
            _.mov(ecx, PulsePage.FirstContentWord);
            _.Label(ref loop);
            _.mov(r9, __qword_ptr[rbx + (rcx * 8)]);
            _.mov(rsi, r9);
            _.xor(rsi, rdx);
            _.or(r8, rsi);
            WriteMix(r9);
            _.add(rdx, r12);
            _.inc(ecx);
            _.cmp(ecx, PulsePage.ChecksumWord);
            _.jb(loop);
            _.xor(rax, __qword_ptr[rbx + (PulsePage.ChecksumWord * 8)]);
            _.or(r8, rax);
            _.ret();
        }

        /// <summary>PulsePage.Fill, from the first word to the last, then the version table.</summary>
        private void WriteRewrite()
        {
            Label loop = _.CreateLabel();

            _.Label(ref _rewrite);
            _.lea(rax, __[r14 + 1]);
            _.mov(Field(VcpuBlock.Writing), rax);
            WriteFirstContent();
            _.mov(rax, PulsePage.ChecksumStart);
            _.mov(__qword_ptr[rbx], r14);
            WriteMix(r14);
            _.mov(__qword_ptr[rbx + 8], r13);
            WriteMix(r13);
            _.mov(ecx, PulsePage.FirstContentWord);
            _.Label(ref loop);
            _.mov(__qword_ptr[rbx + (rcx * 8)], rdx);
            WriteMix(rdx);
            _.add(rdx, r12);
            _.inc(ecx);
            _.cmp(ecx, PulsePage.ChecksumWord);
            _.jb(loop);
            _.mov(__qword_ptr[rbx + (PulsePage.ChecksumWord * 8)], rax);
            _.mov(__qword_ptr[rbp], r13);
            _.mov(Field(VcpuBlock.Writing), 0);
            _.ret();
        }

        /// <summary>PulsePage.FirstContent into rdx.</summary>
        private void WriteFirstContent()
        {
            _.mov(rdx, PulsePage.IndexFactor);
            _.imul(rdx, r14);
            _.mov(rcx, PulsePage.VersionFactor);
            _.imul(rcx, r13);
            _.add(rdx, rcx);
            _.lea(rdx, __[rdx + (r12 * PulsePage.FirstContentWord)]);
        }

        private void WriteMix(AssemblerRegister64 word)
        {
            _.xor(rax, word);
            _.imul(rax, r11);
        }

        /// <summary>
        /// Two ways to look at the clock: after a step, when a report may be due, and around every character of a report. The gap is
        /// between two looks of either kind, so that writing a report hides nothing.
        /// </summary>
        private void WriteObserve()
        {
            Label notLargest = _.CreateLabel();
            Label notDue = _.CreateLabel();

            _.Label(ref _observe);
            WriteReadClock();
            _.mov(rcx, rax);
            _.sub(rcx, Field(VcpuBlock.LastSeen));

            // A clock that went back is no gap.
            _.jle(notLargest);
            _.cmp(rcx, Field(VcpuBlock.LargestGap));
            _.jbe(notLargest);
            _.mov(Field(VcpuBlock.LargestGap), rcx);
            _.Label(ref notLargest);
            _.mov(Field(VcpuBlock.LastSeen), rax);
            _.ret();

            _.Label(ref _observeAndReport);
            _.call(_observe);
            _.mov(rcx, rax);
            _.sub(rcx, Field(VcpuBlock.LastReport));

            // Unsigned: after a clock that went back, a report is due at once.
            _.cmp(rcx, Field(VcpuBlock.ReportTicks));
            _.jb(notDue);
            _.mov(Field(VcpuBlock.LastReport), rax);
            WriteReportField(PulseReportLine.Vcpu, VcpuBlock.VcpuNumber);
            WriteReportField(PulseReportLine.Steps, VcpuBlock.Steps);
            WriteReportField(PulseReportLine.Sweeps, VcpuBlock.Sweeps);
            WriteReportField(PulseReportLine.Corrupt, VcpuBlock.CorruptPages);
            WriteReportField(PulseReportLine.Gap, VcpuBlock.LargestGap);
            _.mov(al, (sbyte)'\n');
            _.call(_putCharacter);
            _.Label(ref notDue);
            _.ret();
        }

        private void WriteReadClock()
        {
            _.rdtsc();
            _.shl(rdx, 32);
            _.or(rax, rdx);
            _.add(rax, r10);
        }

        private void WriteReportField(string label, int field)
        {
            Label text = _.CreateLabel();
            Label after = _.CreateLabel();
            _.lea(rsi, __[text]);
            _.jmp(after);
            _.Label(ref text);
            _.db(System.Text.Encoding.ASCII.GetBytes(label + "\0"));
            _.Label(ref after);
            _.call(_putText);
            _.mov(rdi, Field(field));
            _.call(_putHex);
        }

        private void WriteOutput()
        {
            Label skipZero = _.CreateLabel();
            Label digit = _.CreateLabel();
            Label decimalDigit = _.CreateLabel();

            // The text at rsi, up to its zero.
            _.Label(ref _putText);
            _.mov(al, __byte_ptr[rsi]);
            _.inc(rsi);
            _.call(_putCharacter);
            _.cmp(__byte_ptr[rsi], 0);
            _.jne(_putText);
            _.ret();

            // rdi in hexadecimal, without leading zeros.
            _.Label(ref _putHex);
            _.mov(r8d, 60);
            _.Label(ref skipZero);
            _.mov(ecx, r8d);
            _.mov(rax, rdi);
            _.shr(rax, cl);
            _.jnz(digit);
            _.sub(r8d, 4);
            _.jnz(skipZero);
            _.Label(ref digit);
            _.mov(ecx, r8d);
            _.mov(rax, rdi);
            _.shr(rax, cl);
            _.and(eax, 15);
            _.add(al, (sbyte)'0');
            _.cmp(al, (sbyte)'9');
            _.jbe(decimalDigit);
            _.add(al, 'a' - '9' - 1);
            _.Label(ref decimalDigit);
            _.call(_putCharacter);
            _.sub(r8d, 4);
            _.jns(digit);
            _.ret();

            // The character in al. The gap is looked at when it is out; the look before was after the last one, or after a step.
            _.Label(ref _putCharacter);
            _.mov(edx, AddressMap.SerialPort);
            _.call(_leave);
            _.jmp(_observe);
        }

        private Label[] WriteHandlers()
        {
            var handlers = new Label[Exceptions];
            for (int vector = 0; vector < Exceptions; vector++)
            {
                handlers[vector] = _.CreateLabel();
                _.Label(ref handlers[vector]);
                if (vector == InvalidOpcode)
                {
                    Label unexpected = _.CreateLabel();
                    _.cmp(__qword_ptr[rsp], checked((int)origin));
                    _.jne(unexpected);
                    _.@out(dx, al);
                    _.add(__qword_ptr[rsp], 2);
                    _.iretq();
                    _.Label(ref unexpected);
                }

                if ((HasErrorCode >> vector & 1) == 0)
                {
                    _.push(0);
                }

                _.push(vector);
                _.jmp(_fail);
            }

            // On the stack now: vector, error code, RIP, CS, RFLAGS, RSP, SS.
            Label stopped = _.CreateLabel();
            _.Label(ref _fail);
            _.mov(eax, __dword_ptr[rsp]);
            _.@out(FailurePort, al);
            _.Label(ref stopped);
            _.hlt();
            _.jmp(stopped);
            return handlers;
        }
    }
}
